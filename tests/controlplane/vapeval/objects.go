package vapeval

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
)

var podKind = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}

// A pod in the two forms the plugin has it in.
type pod struct {
	typed  *corev1.Pod
	object map[string]any
}

type namespace struct {
	typed  *corev1.Namespace
	object map[string]any
}

func decodePod(raw json.RawMessage) (pod, error) {
	typed := &corev1.Pod{}
	if err := json.Unmarshal(raw, typed); err != nil {
		return pod{}, err
	}
	typed.SetGroupVersionKind(podKind)
	typed.ManagedFields = nil
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	return pod{typed, object}, err
}

func decodeNamespace(raw json.RawMessage) (namespace, error) {
	typed := &corev1.Namespace{}
	if err := json.Unmarshal(raw, typed); err != nil {
		return namespace{}, err
	}
	// What the plugin lets expressions see of it.
	typed = cel.CreateNamespaceObject(typed)
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	return namespace{typed, object}, err
}

// The creation of a pod as the plugin is asked about it.
func creation(pod *corev1.Pod) *admission.VersionedAttributes {
	resource := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	attributes := admission.NewAttributesRecord(pod, nil, podKind, pod.Namespace, pod.Name, resource, "",
		admission.Create, &metav1.CreateOptions{}, false, nil)
	return &admission.VersionedAttributes{Attributes: attributes, VersionedObject: pod, VersionedKind: podKind}
}
