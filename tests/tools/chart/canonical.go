package main

import (
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// canonical brings documents into one form, so that `diff` compares their
// content. It removes all metadata except the name.
func canonical(text string, kinds []string) (string, error) {
	var documents []string
	for _, document := range strings.Split("\n"+text, "\n---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			return "", err
		}
		kind, _ := object["kind"].(string)
		if !slices.Contains(kinds, kind) {
			continue
		}
		metadata, _ := object["metadata"].(map[string]any)
		object["metadata"] = map[string]any{"name": metadata["name"]}
		canonical, err := yaml.Marshal(object)
		if err != nil {
			return "", err
		}
		documents = append(documents, string(canonical))
	}
	slices.Sort(documents)
	return strings.Join(documents, "---\n"), nil
}
