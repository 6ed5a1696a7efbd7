// Writes one JSON schema for each kind, for kubeconform, from the OpenAPI document
// of Kubernetes and the CRDs of operators: schemas OUT SWAGGER [CRD...]
//
// The schemas are strict: an unknown field is an error. (The API server would
// drop it.)
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

type object = map[string]any

const (
	definitionsFile = "_definitions.json"
	reference       = definitionsFile + "#/definitions/"
	apimachinery    = "io.k8s.apimachinery.pkg."
)

func main() {
	if len(os.Args) < 3 {
		fail(fmt.Errorf("usage: schemas OUT SWAGGER [CRD...]"))
	}
	out := os.Args[1]
	fromSwagger(out, os.Args[2])
	for _, path := range os.Args[3:] {
		fromCRD(out, path)
	}
}

func fromSwagger(out, path string) {
	var swagger struct {
		Definitions map[string]object `json:"definitions"`
	}
	text, err := os.ReadFile(path)
	fail(err)
	fail(json.Unmarshal(text, &swagger))

	// These two types accept more JSON types than the document says.
	swagger.Definitions[apimachinery+"util.intstr.IntOrString"] = object{"type": []string{"string", "integer"}}
	swagger.Definitions[apimachinery+"api.resource.Quantity"] = object{"type": []string{"string", "number"}}
	for name, definition := range swagger.Definitions {
		strict(definition)
		kinds, _ := definition["x-kubernetes-group-version-kind"].([]any)
		// Kinds of every group (DeleteOptions) are in no manifest.
		if len(kinds) != 1 {
			continue
		}
		kind := kinds[0].(object)
		write(out, kind["group"].(string), kind["version"].(string), kind["kind"].(string), object{
			"allOf":    []any{object{"$ref": reference + name}},
			"required": []string{"apiVersion", "kind", "metadata"},
		})
	}
	save(filepath.Join(out, definitionsFile), object{"definitions": swagger.Definitions})
}

func fromCRD(out, path string) {
	var crd struct {
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Schema struct {
					OpenAPIV3Schema object `json:"openAPIV3Schema"`
				}
			}
		}
	}
	text, err := os.ReadFile(path)
	fail(err)
	fail(yaml.Unmarshal(text, &crd))
	for _, version := range crd.Spec.Versions {
		schema := version.Schema.OpenAPIV3Schema
		properties := schema["properties"].(object)
		properties["apiVersion"] = object{"type": "string"}
		properties["kind"] = object{"type": "string"}
		properties["metadata"] = object{"$ref": reference + apimachinery + "apis.meta.v1.ObjectMeta"}
		strict(schema)
		write(out, crd.Spec.Group, version.Name, crd.Spec.Names.Kind, schema)
	}
}

// strict makes unknown fields an error, at every depth.
func strict(value any) {
	switch it := value.(type) {
	case []any:
		for _, inner := range it {
			strict(inner)
		}
	case object:
		for _, inner := range it {
			strict(inner)
		}
		if ref, ok := it["$ref"].(string); ok {
			it["$ref"] = reference + ref[strings.LastIndex(ref, "/")+1:]
		}
		if it["x-kubernetes-int-or-string"] == true {
			delete(it, "type")
		}
		properties, isObject := it["properties"].(object)
		_, open := it["additionalProperties"]
		if isObject && !open && it["x-kubernetes-preserve-unknown-fields"] != true && len(properties) > 0 {
			it["additionalProperties"] = false
		}
		if it["nullable"] == true {
			if name, ok := it["type"].(string); ok {
				it["type"] = []string{name, "null"}
			}
		}
	}
}

// write uses the file names that kubeconform expects: deployment-apps-v1.json.
func write(out, group, version, kind string, schema object) {
	parts := []string{kind}
	if group != "" {
		parts = append(parts, strings.Split(group, ".")[0])
	}
	name := strings.ToLower(strings.Join(append(parts, version), "-")) + ".json"
	schema["$schema"] = "http://json-schema.org/draft-07/schema#"
	save(filepath.Join(out, name), schema)
}

func save(path string, value any) {
	text, err := json.Marshal(value)
	fail(err)
	fail(os.WriteFile(path, text, 0o644))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}
