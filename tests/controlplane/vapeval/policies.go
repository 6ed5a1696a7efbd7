package vapeval

import (
	"context"
	"encoding/json"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/kubernetes/pkg/apis/admissionregistration"
	"k8s.io/kubernetes/pkg/apis/admissionregistration/install"
	"k8s.io/kubernetes/pkg/apis/admissionregistration/validation"
	"k8s.io/kubernetes/pkg/generated/openapi"
)

// The oldest Kubernetes whose API server must take the objects.
const oldest = 33

// What the API server says of a policy or a binding when it is written.
type written struct {
	// Why it refuses the object.
	Refused string `json:"refused,omitempty"`
	// What the type checker finds (status.typeChecking).
	Warnings []string `json:"warnings,omitempty"`
	// Expressions that the oldest API server would refuse.
	TooNew []string `json:"tooNew,omitempty"`
}

// Policies with their bindings, as the plugin holds them.
type hooks struct {
	list []validating.PolicyHook
	// Of each policy of the list.
	evaluators []evaluators
	// What they have as their parameter.
	params  *leases
	decoder runtime.Decoder
	scheme  *runtime.Scheme
	checker *validating.TypeChecker
}

func newHooks() *hooks {
	internal := runtime.NewScheme()
	install.Install(internal)
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, kind := range kinds {
		mapper.Add(kind.kind, meta.RESTScopeNamespace)
	}
	return &hooks{
		params:  newLeases(),
		decoder: serializer.NewCodecFactory(internal, serializer.EnableStrict).UniversalDecoder(),
		scheme:  internal,
		checker: &validating.TypeChecker{
			SchemaResolver: resolver.NewDefinitionsSchemaResolver(openapi.GetOpenAPIDefinitions, scheme.Scheme),
			RestMapper:     mapper,
		},
	}
}

// add takes objects as the API server does: defaulted, validated and compiled and, unless it must be quick, type checked.
func (h *hooks) add(objects []json.RawMessage, quick bool) []written {
	h.list, h.evaluators = nil, nil
	answers := make([]written, len(objects))
	for i, raw := range objects {
		answers[i] = h.write(raw, quick)
	}
	return answers
}

func (h *hooks) write(raw json.RawMessage, quick bool) (answer written) {
	object, _, err := h.decoder.Decode(raw, nil, nil)
	if err != nil {
		return written{Refused: err.Error()}
	}
	switch typed := object.(type) {
	case *admissionregistration.ValidatingAdmissionPolicy:
		if faults := validation.ValidateValidatingAdmissionPolicy(typed); len(faults) > 0 {
			return written{Refused: faults.ToAggregate().Error()}
		}
		policy := &admissionv1.ValidatingAdmissionPolicy{}
		if err := h.scheme.Convert(typed, policy, nil); err != nil {
			return written{Refused: err.Error()}
		}
		if !quick {
			for _, warning := range h.checker.Check(policy) {
				answer.Warnings = append(answer.Warnings, warning.FieldRef+": "+warning.Warning)
			}
			answer.TooNew = tooNew(policy)
		}
		hook := validating.PolicyHook{Policy: policy}
		if kind := policy.Spec.ParamKind; kind != nil {
			if *kind != leaseKind {
				return written{Refused: fmt.Sprintf("the only parameters here are Leases: %s", kind)}
			}
			hook.ParamInformer, hook.ParamScope = h.params, meta.RESTScopeNamespace
		}
		var parts evaluators
		hook.Evaluator, parts = compilePolicy(policy)
		h.list, h.evaluators = append(h.list, hook), append(h.evaluators, parts)
	case *admissionregistration.ValidatingAdmissionPolicyBinding:
		if faults := validation.ValidateValidatingAdmissionPolicyBinding(typed); len(faults) > 0 {
			return written{Refused: faults.ToAggregate().Error()}
		}
		binding := &admissionv1.ValidatingAdmissionPolicyBinding{}
		if err := h.scheme.Convert(typed, binding, nil); err != nil {
			return written{Refused: err.Error()}
		}
		for i := range h.list {
			if h.list[i].Policy.Name == binding.Spec.PolicyName {
				h.list[i].Bindings = append(h.list[i].Bindings, binding)
				return answer
			}
		}
		return written{Refused: fmt.Sprintf("there is no policy %q", binding.Spec.PolicyName)}
	default:
		return written{Refused: fmt.Sprintf("neither a policy nor a binding: %T", object)}
	}
	return answer
}

// compilePolicy does what the plugin's function of this name does, which it keeps to itself.
func compilePolicy(policy *admissionv1.ValidatingAdmissionPolicy) (validating.Validator, evaluators) {
	compiler, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(version.MajorMinor(1, 36)))
	if err != nil {
		panic(err)
	}
	stored := environment.StoredExpressions
	declared := cel.OptionalVariableDeclarations{HasParams: policy.Spec.ParamKind != nil, HasAuthorizer: true}
	message := cel.OptionalVariableDeclarations{HasParams: declared.HasParams}
	for _, variable := range policy.Spec.Variables {
		accessor := &validating.Variable{Name: variable.Name, Expression: variable.Expression}
		compiler.CompileAndStoreVariable(accessor, declared, stored)
	}
	var parts evaluators
	var matcher matchconditions.Matcher
	if count := len(policy.Spec.MatchConditions); count > 0 {
		conditions := make([]cel.ExpressionAccessor, count)
		for i := range policy.Spec.MatchConditions {
			conditions[i] = (*matchconditions.MatchCondition)(&policy.Spec.MatchConditions[i])
		}
		parts.conditions = compiler.CompileCondition(conditions, declared, stored)
		matcher = matchconditions.NewMatcher(parts.conditions, policy.Spec.FailurePolicy, "policy", "validate", policy.Name)
	}
	var validations, messages []cel.ExpressionAccessor
	for _, it := range policy.Spec.Validations {
		validations = append(validations, &validating.ValidationCondition{Expression: it.Expression, Message: it.Message, Reason: it.Reason})
		var told cel.ExpressionAccessor
		if it.MessageExpression != "" {
			told = &validating.MessageExpressionCondition{MessageExpression: it.MessageExpression}
		}
		messages = append(messages, told)
	}
	parts.validations = compiler.CompileCondition(validations, declared, stored)
	parts.messages = compiler.CompileCondition(messages, message, stored)
	return validating.NewValidator(parts.validations, matcher, compiler.CompileCondition(nil, declared, stored), parts.messages, policy.Spec.FailurePolicy, nil), parts
}

// tooNew are the expressions that the oldest API server would refuse as new ones.
func tooNew(policy *admissionv1.ValidatingAdmissionPolicy) (refused []string) {
	compiler, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(version.MajorMinor(1, oldest)))
	if err != nil {
		panic(err)
	}
	declared := cel.OptionalVariableDeclarations{HasParams: policy.Spec.ParamKind != nil, HasAuthorizer: true}
	note := func(what string, compiled cel.CompilationResult) {
		if compiled.Error != nil {
			refused = append(refused, what+": "+compiled.Error.Error())
		}
	}
	for _, it := range policy.Spec.Variables {
		accessor := &validating.Variable{Name: it.Name, Expression: it.Expression}
		note("variable "+it.Name, compiler.CompileAndStoreVariable(accessor, declared, environment.NewExpressions))
	}
	for _, it := range policy.Spec.Validations {
		accessor := &validating.ValidationCondition{Expression: it.Expression}
		note("validation", compiler.CompileCELExpression(accessor, declared, environment.NewExpressions))
		message := &validating.MessageExpressionCondition{MessageExpression: it.MessageExpression}
		note("message", compiler.CompileCELExpression(message, declared, environment.NewExpressions))
	}
	for i := range policy.Spec.MatchConditions {
		condition := (*matchconditions.MatchCondition)(&policy.Spec.MatchConditions[i])
		note("condition "+condition.Name, compiler.CompileCELExpression(condition, declared, environment.NewExpressions))
	}
	return refused
}

// dispatch asks the plugin's own dispatcher about a write.
func (h *hooks) dispatch(ctx context.Context, dispatcher dispatcher, asked *change) (answer verdict) {
	defer func() {
		if failure := recover(); failure != nil {
			answer = verdict{Refused: fmt.Sprintf("a panic: %v", failure)}
		}
	}()
	return dispatcher.judge(ctx, asked, h.list)
}
