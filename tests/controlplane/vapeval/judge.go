package vapeval

import (
	"context"
	"errors"
	"fmt"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// A unit is what a policy holds. Each validation is judged alone, as the first of its policy, and together with the
// others in their order and on one budget.
type unit struct {
	Variables []struct {
		Name       string `json:"name"`
		Expression string `json:"expression"`
	} `json:"variables"`
	Validations []string `json:"validations"`
	// The numbers of the loaded pods to evaluate on; all of them if absent.
	Pods []int `json:"pods"`
	// The number of a namespace that was loaded.
	Namespace *int `json:"namespace"`
	// How often each is asked (1 if absent): maps have no order, so an answer may differ from time to time.
	Runs int `json:"runs"`
	// Also evaluates validations that are refused for their type alone, and tells what they come to.
	Values bool `json:"values"`
}

type unitAnswer struct {
	Fault       string             `json:"fault,omitempty"`
	Variables   []expressionAnswer `json:"variables,omitempty"`
	Validations []expressionAnswer `json:"validations"`
	// All validations on one budget, for each pod.
	Together []together `json:"together,omitempty"`
}

type expressionAnswer struct {
	// Why it does not compile. That the API server's code panics on it is such a reason.
	Refused string `json:"refused,omitempty"`
	// The type it has; absent if it has none.
	Type string `json:"type,omitempty"`
	// The overloads that it may call, of those that are declared.
	Overloads []string `json:"overloads,omitempty"`
	// For each pod.
	Results []result `json:"results,omitempty"`
}

type result struct {
	// value, error, or budget: the expression's own limit ran out.
	Is string `json:"is"`
	// The value as text (see render), or the error.
	Text string `json:"text"`
	// In the API server's units, with that of the variables it made evaluate.
	Cost uint64 `json:"cost"`
	// Whether another run had another result, or another cost.
	Unstable     bool `json:"unstable,omitempty"`
	UnstableCost bool `json:"unstableCost,omitempty"`
}

type together struct {
	// Whether the policy's budget ran out, which fails all of it.
	Over bool `json:"over,omitempty"`
	// What each came to: true, false, or error; empty if the budget ran out.
	Results []string `json:"results,omitempty"`
	Cost    int64    `json:"cost"`
}

type judge struct {
	base       *environment.EnvSet
	plain      *cel.CompositedCompiler
	table      *celgo.Env
	pods       []pod
	namespaces []namespace
	// Made when the first policy is written: the schemas of the type checker take a second.
	hooks *hooks
}

// The plugin compiles validations with an authorizer at hand.
var declared = cel.OptionalVariableDeclarations{HasAuthorizer: true}

func newJudge() *judge {
	base := environment.MustBaseEnvSet(version.MajorMinor(1, 36))
	plain, err := cel.NewCompositedCompiler(base)
	if err != nil {
		panic(err)
	}
	return &judge{base: base, plain: plain, table: tableEnv(base)}
}

func (j *judge) unit(asked *unit) (given unitAnswer) {
	defer func() {
		if failure := recover(); failure != nil {
			given = unitAnswer{Fault: fmt.Sprintf("a panic: %v", failure)}
		}
	}()
	compiler := j.plain
	if len(asked.Variables) > 0 {
		var err error
		if compiler, err = cel.NewCompositedCompiler(j.base); err != nil {
			return unitAnswer{Fault: err.Error()}
		}
	}
	var space namespace
	if asked.Namespace != nil {
		space = j.namespaces[*asked.Namespace]
	}
	pods := j.pods
	if asked.Pods != nil {
		pods = nil
		for _, number := range asked.Pods {
			pods = append(pods, j.pods[number])
		}
	}
	for _, variable := range asked.Variables {
		accessor := &validating.Variable{Name: variable.Name, Expression: variable.Expression}
		compiled := guarded(func() cel.CompilationResult {
			return compiler.CompileAndStoreVariable(accessor, declared, environment.StoredExpressions)
		})
		given.Variables = append(given.Variables, told(compiled))
	}
	compiles := true
	conditions := make([]cel.ExpressionAccessor, len(asked.Validations))
	for i, expression := range asked.Validations {
		conditions[i] = &validating.ValidationCondition{Expression: expression}
		compiled := compile(compiler, conditions[i])
		answer := told(compiled)
		if compiled.Error != nil {
			compiles = false
			if asked.Values {
				compiled = compile(compiler, &validating.Variable{Name: "value", Expression: expression})
				answer.Type = told(compiled).Type
			}
		}
		if compiled.Error == nil {
			answer.Overloads = j.overloads(expression)
			for k := range pods {
				answer.Results = append(answer.Results, results(compiler, compiled, &pods[k], &space, max(asked.Runs, 1)))
			}
		}
		given.Validations = append(given.Validations, answer)
	}
	if compiles && len(conditions) > 1 {
		evaluator := compiler.CompileCondition(conditions, declared, environment.StoredExpressions)
		for k := range pods {
			given.Together = append(given.Together, policy(evaluator, &pods[k], &space))
		}
	}
	return given
}

func compile(compiler *cel.CompositedCompiler, expression cel.ExpressionAccessor) cel.CompilationResult {
	return guarded(func() cel.CompilationResult {
		return compiler.CompileCELExpression(expression, declared, environment.StoredExpressions)
	})
}

// The type checker panics on some expressions, such as [?dyn(1)]. An API server answers them with an error.
func guarded(compile func() cel.CompilationResult) (compiled cel.CompilationResult) {
	defer func() {
		if failure := recover(); failure != nil {
			detail := fmt.Sprintf("the API server's code panics: %v", failure)
			compiled = cel.CompilationResult{Error: &apiservercel.Error{Type: apiservercel.ErrorTypeInternal, Detail: detail}}
		}
	}()
	return compile()
}

func told(compiled cel.CompilationResult) expressionAnswer {
	var answer expressionAnswer
	if compiled.Error != nil {
		answer.Refused = compiled.Error.Detail
	}
	if compiled.OutputType != nil {
		answer.Type = compiled.OutputType.String()
	}
	return answer
}

// results asks several times, each time from the start.
func results(compiler *cel.CompositedCompiler, compiled cel.CompilationResult, pod *pod, space *namespace, runs int) result {
	first := evaluate(compiler, compiled.Program, pod, space)
	for range runs - 1 {
		other := evaluate(compiler, compiled.Program, pod, space)
		sameText := other.Text == first.Text || first.Is != "value"
		first.Unstable = first.Unstable || other.Is != first.Is || !sameText
		first.UnstableCost = first.UnstableCost || other.Cost != first.Cost
	}
	return first
}

// evaluate does what the plugin's condition does for an expression, which tells no cost of a single one.
func evaluate(compiler *cel.CompositedCompiler, program celgo.Program, pod *pod, space *namespace) result {
	context := compiler.CreateContext(context.Background())
	inputs := &activation{object: pod.object, namespace: space.object}
	inputs.variables = context.Variables(inputs)
	value, details, err := program.ContextEval(context, inputs)
	cost := uint64(context.GetAndResetCost())
	if details != nil && details.ActualCost() != nil {
		cost += *details.ActualCost()
	}
	if err != nil {
		is := "error"
		if errors.As(err, &interpreter.EvalCancelledError{}) {
			is = "budget"
		}
		return result{Is: is, Text: err.Error(), Cost: cost}
	}
	return result{Is: "value", Text: render(value), Cost: cost}
}

// The names that the plugin resolves, without those of the request.
type activation struct {
	object, namespace map[string]any
	variables         ref.Val
}

func (a *activation) ResolveName(name string) (any, bool) {
	switch name {
	case cel.ObjectVarName:
		return a.object, true
	case cel.NamespaceVarName:
		if a.namespace == nil {
			return nil, true
		}
		return a.namespace, true
	case cel.VariableVarName:
		return a.variables, true
	case cel.OldObjectVarName, cel.ParamsVarName, cel.RequestVarName:
		return nil, true
	}
	return nil, false
}

func (a *activation) Parent() interpreter.Activation { return nil }

// policy is the plugin's own evaluation of all validations.
func policy(evaluator cel.ConditionEvaluator, pod *pod, space *namespace) together {
	attributes := creation(pod.typed)
	request := cel.CreateAdmissionRequest(attributes.Attributes, metav1.GroupVersionResource(attributes.GetResource()), metav1.GroupVersionKind(podKind))
	results, left, err := evaluator.ForInput(context.Background(), attributes, request, cel.OptionalVariableBindings{}, space.typed, celconfig.RuntimeCELCostBudget)
	if err != nil {
		return together{Over: true}
	}
	answer := together{Cost: celconfig.RuntimeCELCostBudget - left}
	for _, result := range results {
		text := "error"
		if result.Error == nil {
			text = render(result.EvalResult)
		}
		answer.Results = append(answer.Results, text)
	}
	return answer
}
