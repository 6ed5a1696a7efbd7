package vapeval

import (
	"sort"

	celgo "github.com/google/cel-go/cel"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// What the environment of stored expressions declares.
type functions struct {
	// By the function's name.
	Overloads map[string][]overload `json:"overloads"`
	// NAME(COUNT), or x.NAME(COUNT) of a receiver; COUNT is * for any.
	Macros []string `json:"macros"`
}

type overload struct {
	ID        string   `json:"id"`
	Receiver  bool     `json:"receiver"`
	Arguments []string `json:"arguments"`
	Result    string   `json:"result"`
}

// tableEnv declares what the plugin's own environment does, which it keeps to itself; nothing is evaluated in it.
func tableEnv(base *environment.EnvSet) *celgo.Env {
	namespaceType, requestType := cel.BuildNamespaceType(), cel.BuildRequestType()
	extended, err := base.Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0),
		EnvOptions: []celgo.EnvOption{
			celgo.Variable(cel.ObjectVarName, celgo.DynType),
			celgo.Variable(cel.NamespaceVarName, namespaceType.CelType()),
			celgo.Variable(cel.VariableVarName, celgo.DynType),
		},
		DeclTypes: []*apiservercel.DeclType{namespaceType, requestType},
	})
	if err != nil {
		panic(err)
	}
	return extended.StoredExpressionsEnv()
}

func (j *judge) declared() (*functions, error) {
	all := &functions{Overloads: map[string][]overload{}}
	for name, function := range j.table.Functions() {
		for _, it := range function.OverloadDecls() {
			told := overload{ID: it.ID(), Receiver: it.IsMemberFunction(), Result: it.ResultType().String(), Arguments: []string{}}
			for _, argument := range it.ArgTypes() {
				told.Arguments = append(told.Arguments, argument.String())
			}
			all.Overloads[name] = append(all.Overloads[name], told)
		}
	}
	for _, macro := range j.table.Macros() {
		all.Macros = append(all.Macros, macro.MacroKey())
	}
	sort.Strings(all.Macros)
	return all, nil
}

// overloads are those an expression calls for certain: where the types leave one choice.
func (j *judge) overloads(expression string) []string {
	checked, issues := j.table.Compile(expression)
	if issues.Err() != nil {
		return nil
	}
	seen := map[string]bool{}
	for _, reference := range checked.NativeRep().ReferenceMap() {
		if len(reference.OverloadIDs) == 1 {
			seen[reference.OverloadIDs[0]] = true
		}
	}
	ids := make([]string, 0, len(seen))
	for id := range seen {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	return ids
}
