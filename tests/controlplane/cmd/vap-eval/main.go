// Command vap-eval is the judge of podgate's own CEL: see the package vapeval.
package main

import (
	"fmt"
	"os"

	"podgate/controlplane/vapeval"
)

func main() {
	if err := vapeval.Run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "vap-eval:", err)
		os.Exit(1)
	}
}
