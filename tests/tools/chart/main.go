// Helpers of the chart's checks that need more than a shell.
//
//	readme README VALUES      prints README with its table of values generated from VALUES
//	canonical FILE KIND...    prints the documents of these kinds, sorted, with no metadata but the name
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 4 {
		fail(fmt.Errorf("usage: readme README VALUES, or canonical FILE KIND..."))
	}
	file, err := os.ReadFile(os.Args[2])
	fail(err)
	switch os.Args[1] {
	case "readme":
		values, err := os.ReadFile(os.Args[3])
		fail(err)
		text, err := readme(string(file), string(values))
		fail(err)
		fmt.Print(text)
	case "canonical":
		text, err := canonical(string(file), os.Args[3:])
		fail(err)
		fmt.Print(text)
	default:
		fail(fmt.Errorf("no such command: %s", os.Args[1]))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}
