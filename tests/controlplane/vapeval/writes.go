package vapeval

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
	"k8s.io/apiserver/pkg/admission/plugin/policy/matching"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/client-go/kubernetes/scheme"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

// A change that the policies judge: an update if there is an old object.
type change struct {
	Object      json.RawMessage `json:"object"`
	OldObject   json.RawMessage `json:"oldObject"`
	Namespace   string          `json:"namespace"`
	Subresource string          `json:"subresource"`
	User        string          `json:"user"`
}

// What the policies say, and the objects as the API server would send them to a webhook.
type verdict struct {
	// Why the write cannot be judged.
	Refused string `json:"refused,omitempty"`
	// The message of the denial; empty if the write is admitted.
	Denied    string         `json:"denied,omitempty"`
	Warnings  []string       `json:"warnings,omitempty"`
	Object    runtime.Object `json:"object,omitempty"`
	OldObject runtime.Object `json:"oldObject,omitempty"`
	Cost      *cost          `json:"cost,omitempty"`
}

type kind struct {
	kind     schema.GroupVersionKind
	resource string
	make     func() runtime.Object
}

var kinds = []kind{
	{corev1.SchemeGroupVersion.WithKind("Pod"), "pods", func() runtime.Object { return &corev1.Pod{} }},
	{corev1.SchemeGroupVersion.WithKind("PodTemplate"), "podtemplates", func() runtime.Object { return &corev1.PodTemplate{} }},
	{corev1.SchemeGroupVersion.WithKind("ReplicationController"), "replicationcontrollers", func() runtime.Object { return &corev1.ReplicationController{} }},
	{appsv1.SchemeGroupVersion.WithKind("Deployment"), "deployments", func() runtime.Object { return &appsv1.Deployment{} }},
	{appsv1.SchemeGroupVersion.WithKind("ReplicaSet"), "replicasets", func() runtime.Object { return &appsv1.ReplicaSet{} }},
	{appsv1.SchemeGroupVersion.WithKind("StatefulSet"), "statefulsets", func() runtime.Object { return &appsv1.StatefulSet{} }},
	{appsv1.SchemeGroupVersion.WithKind("DaemonSet"), "daemonsets", func() runtime.Object { return &appsv1.DaemonSet{} }},
	{batchv1.SchemeGroupVersion.WithKind("Job"), "jobs", func() runtime.Object { return &batchv1.Job{} }},
	{batchv1.SchemeGroupVersion.WithKind("CronJob"), "cronjobs", func() runtime.Object { return &batchv1.CronJob{} }},
}

func kindOf(raw json.RawMessage) (*kind, error) {
	var typed metav1.TypeMeta
	if err := json.Unmarshal(raw, &typed); err != nil {
		return nil, err
	}
	for i := range kinds {
		if kinds[i].kind == typed.GroupVersionKind() {
			return &kinds[i], nil
		}
	}
	return nil, fmt.Errorf("%s is none of the kinds", typed.GroupVersionKind())
}

func (k *kind) decode(raw json.RawMessage, namespace string) (runtime.Object, error) {
	object := k.make()
	if err := json.Unmarshal(raw, object); err != nil {
		return nil, err
	}
	object.GetObjectKind().SetGroupVersionKind(k.kind)
	object.(metav1.Object).SetNamespace(namespace)
	return object, nil
}

// The plugin's dispatcher, with the namespaces that it selects by.
type dispatcher struct {
	generic.Dispatcher[validating.PolicyHook]
	interfaces admission.ObjectInterfaces
	namespace  func(name string) (*corev1.Namespace, error)
}

func newDispatcher(namespaces []namespace) dispatcher {
	known := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	for _, it := range namespaces {
		if err := known.Add(it.typed); err != nil {
			panic(err)
		}
	}
	lister := corelisters.NewNamespaceLister(known)
	matcher := generic.NewPolicyMatcher(matching.NewMatcher(lister, nil))
	return dispatcher{validating.NewDispatcher(nil, matcher), admission.NewObjectInterfacesFromScheme(scheme.Scheme), lister.Get}
}

func (d dispatcher) judge(ctx context.Context, asked *change, hooks []validating.PolicyHook) (answer verdict) {
	_, attributes, err := d.read(asked)
	if err != nil {
		return verdict{Refused: err.Error()}
	}
	answer.Object, answer.OldObject = attributes.GetObject(), attributes.GetOldObject()
	told := &recorder{}
	if err := d.Dispatch(warning.WithWarningRecorder(ctx, told), attributes, d.interfaces, hooks); err != nil {
		answer.Denied = err.Error()
	}
	answer.Warnings = told.warnings
	return answer
}

// read decodes a change.
func (d dispatcher) read(asked *change) (*kind, admission.Attributes, error) {
	kind, err := kindOf(asked.Object)
	if err != nil {
		return nil, nil, err
	}
	object, err := kind.decode(asked.Object, asked.Namespace)
	if err != nil {
		return nil, nil, err
	}
	var oldObject runtime.Object
	operation, options := admission.Create, runtime.Object(&metav1.CreateOptions{})
	if len(asked.OldObject) > 0 && string(asked.OldObject) != "null" {
		if oldObject, err = kind.decode(asked.OldObject, asked.Namespace); err != nil {
			return nil, nil, err
		}
		operation, options = admission.Update, &metav1.UpdateOptions{}
	}
	resource := schema.GroupVersionResource{Group: kind.kind.Group, Version: kind.kind.Version, Resource: kind.resource}
	name := object.(metav1.Object).GetName()
	attributes := admission.NewAttributesRecord(object, oldObject, kind.kind, asked.Namespace, name, resource, asked.Subresource, operation, options, false, &user.DefaultInfo{Name: asked.User})
	return kind, attributes, nil
}

type recorder struct{ warnings []string }

func (r *recorder) AddWarning(_, text string) { r.warnings = append(r.warnings, text) }
