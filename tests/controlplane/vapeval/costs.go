package vapeval

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// The parts of a compiled policy, of which the plugin tells no costs.
type evaluators struct{ conditions, validations, messages cel.ConditionEvaluator }

// What a write costs in all policies together, in the API server's units, and how long the plugin takes.
type cost struct {
	Conditions   int64   `json:"conditions"`
	Validations  int64   `json:"validations"`
	Microseconds float64 `json:"microseconds"`
}

// cost judges a write that can be read once more by the parts of each policy, and then several times by all.
func (h *hooks) cost(ctx context.Context, dispatcher dispatcher, asked *change, runs int) *cost {
	kind, attributes, err := dispatcher.read(asked)
	if err != nil {
		panic(err)
	}
	versioned, err := admission.NewVersionedAttributes(attributes, kind.kind, dispatcher.interfaces)
	if err != nil {
		panic(err)
	}
	request := cel.CreateAdmissionRequest(attributes, metav1.GroupVersionResource(attributes.GetResource()), metav1.GroupVersionKind(kind.kind))
	namespace, err := dispatcher.namespace(asked.Namespace)
	if err != nil {
		panic(err)
	}
	spent := &cost{}
	for i, parts := range h.evaluators {
		bindings := cel.OptionalVariableBindings{}
		for _, binding := range h.list[i].Bindings {
			if ref := binding.Spec.ParamRef; ref != nil {
				bindings.VersionedParams = h.params.unstructured(types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name})
			}
		}
		evaluate := func(evaluator cel.ConditionEvaluator, total *int64) (passes bool) {
			results, left, err := evaluator.ForInput(ctx, versioned, request, bindings, namespace, celconfig.RuntimeCELCostBudget)
			*total += celconfig.RuntimeCELCostBudget - max(left, 0)
			passes = err == nil
			for _, result := range results {
				passes = passes && result.Error == nil && result.EvalResult != nil && result.EvalResult.Value() == true
			}
			return passes
		}
		if parts.conditions != nil && !evaluate(parts.conditions, &spent.Conditions) {
			continue
		}
		evaluate(parts.validations, &spent.Validations)
		evaluate(parts.messages, &spent.Validations)
	}
	started := time.Now()
	for range runs {
		_ = dispatcher.Dispatch(ctx, attributes, dispatcher.interfaces, h.list)
	}
	spent.Microseconds = float64(time.Since(started).Microseconds()) / float64(runs)
	return spent
}
