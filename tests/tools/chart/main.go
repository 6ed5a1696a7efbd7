// What the chart's checks need beside a shell.
//
//	readme README VALUES      prints README with the table made from the values' comments
//	canonical FILE KIND...    prints the documents of these kinds without labels and the like, sorted
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
