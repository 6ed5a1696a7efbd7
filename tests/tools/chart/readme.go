package main

import (
	"fmt"
	"regexp"
	"strings"
)

const (
	begin = "<!-- values: made from values.yaml by `make chart-docs` -->\n"
	end   = "<!-- end of values -->\n"
)

var (
	comment = regexp.MustCompile(`^ *# ?(.*)$`)
	// A key with its indentation, and the value on the same line.
	entry = regexp.MustCompile(`^( *)([A-Za-z][\w-]*):(?: +(.*))?$`)
)

// readme replaces the table between the two marker lines.
func readme(text, values string) (string, error) {
	head, rest, found := strings.Cut(text, begin)
	_, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		return "", fmt.Errorf("the README has no lines %q and %q", begin, end)
	}
	table, err := table(values)
	return head + begin + table + end + tail, err
}

// table has a row for each value, with the comment above the key as its
// description. It reads lines, because a YAML parser drops comments and the
// notation of defaults. It does not read all of YAML, only the form of values.yaml.
func table(values string) (string, error) {
	rows := "| value | default | description |\n|---|---|---|\n"
	var path []string
	var said []string
	for number, line := range strings.Split(values, "\n") {
		if match := comment.FindStringSubmatch(line); match != nil {
			said = append(said, match[1])
			continue
		}
		match := entry.FindStringSubmatch(line)
		if match == nil {
			if strings.TrimSpace(line) != "" {
				return "", fmt.Errorf("values.yaml:%d: write a value as `key: default` on one line", number+1)
			}
			said = nil
			continue
		}
		path = append(path[:len(match[1])/2], match[2])
		if value := match[3]; value != "" {
			name := strings.Join(path, ".")
			if len(said) == 0 {
				return "", fmt.Errorf("values.yaml:%d: %s has no comment; describe the value above it", number+1, name)
			}
			rows += fmt.Sprintf("| `%s` | `%s` | %s |\n", name, value, strings.ReplaceAll(strings.Join(said, " "), "|", `\|`))
		}
		said = nil
	}
	return rows, nil
}
