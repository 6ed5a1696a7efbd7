package vapeval

import (
	"encoding/json"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

var leaseKind = admissionv1.ParamKind{APIVersion: "coordination.k8s.io/v1", Kind: "Lease"}

// The API server's informer of a parameter kind. Its objects have neither a kind nor managedFields.
type leases struct{ store cache.Indexer }

func newLeases() *leases {
	return &leases{cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})}
}

func (l *leases) Informer() cache.SharedIndexInformer { return synced{} }

func (l *leases) Lister() cache.GenericLister {
	return cache.NewGenericLister(l.store, coordinationv1.Resource("leases"))
}

func (l *leases) replace(raws []json.RawMessage) error {
	all := make([]any, len(raws))
	for i, raw := range raws {
		lease := &coordinationv1.Lease{}
		if err := json.Unmarshal(raw, lease); err != nil {
			return err
		}
		lease.ManagedFields = nil
		lease.Kind, lease.APIVersion = "", ""
		all[i] = lease
	}
	return l.store.Replace(all, "")
}

// unstructured is a Lease as expressions see it; nil if there is none.
func (l *leases) unstructured(name types.NamespacedName) runtime.Object {
	lease, found, err := l.store.GetByKey(name.String())
	if err != nil || !found {
		return nil
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(lease)
	if err != nil {
		panic(err)
	}
	told := &unstructured.Unstructured{Object: object}
	told.SetAPIVersion(leaseKind.APIVersion)
	told.SetKind(leaseKind.Kind)
	return told
}

// An informer that has listed everything.
type synced struct{ cache.SharedIndexInformer }

func (synced) HasSynced() bool { return true }
