package main

// Kinds that kube-apiserver has built in, on the same storage machinery, from the types of k8s.io/api: watches,
// conflicts, patches and server-side apply are real. Upstream's own storage for them is in k8s.io/kubernetes, which
// Debian does not package, so there is no validation beyond metadata, no defaulting, and no controller.

import (
	"context"
	"reflect"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	coordv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	netv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/client-go/kubernetes"
)

// A builtin is one kind: how clients call it, and the types of an object and of a list of them.
type builtin struct {
	plural, singular string
	short            []string
	namespaced       bool
	obj, list        runtime.Object
}

var builtins = map[schema.GroupVersion][]builtin{
	corev1.SchemeGroupVersion: {
		{"namespaces", "namespace", []string{"ns"}, false, &corev1.Namespace{}, &corev1.NamespaceList{}},
		{"nodes", "node", []string{"no"}, false, &corev1.Node{}, &corev1.NodeList{}},
		{"pods", "pod", []string{"po"}, true, &corev1.Pod{}, &corev1.PodList{}},
		{"services", "service", []string{"svc"}, true, &corev1.Service{}, &corev1.ServiceList{}},
		{"secrets", "secret", nil, true, &corev1.Secret{}, &corev1.SecretList{}},
		{"configmaps", "configmap", []string{"cm"}, true, &corev1.ConfigMap{}, &corev1.ConfigMapList{}},
		{"serviceaccounts", "serviceaccount", []string{"sa"}, true, &corev1.ServiceAccount{}, &corev1.ServiceAccountList{}},
		{"events", "event", []string{"ev"}, true, &corev1.Event{}, &corev1.EventList{}},
	},
	// kube-apiserver stores these and the events of core/v1 as the same objects; here they are apart.
	eventsv1.SchemeGroupVersion: {
		{"events", "event", []string{"ev"}, true, &eventsv1.Event{}, &eventsv1.EventList{}},
	},
	coordv1.SchemeGroupVersion: {
		{"leases", "lease", nil, true, &coordv1.Lease{}, &coordv1.LeaseList{}},
	},
	appsv1.SchemeGroupVersion: {
		{"deployments", "deployment", []string{"deploy"}, true, &appsv1.Deployment{}, &appsv1.DeploymentList{}},
	},
	policyv1.SchemeGroupVersion: {
		{"poddisruptionbudgets", "poddisruptionbudget", []string{"pdb"}, true, &policyv1.PodDisruptionBudget{}, &policyv1.PodDisruptionBudgetList{}},
	},
	netv1.SchemeGroupVersion: {
		{"networkpolicies", "networkpolicy", []string{"netpol"}, true, &netv1.NetworkPolicy{}, &netv1.NetworkPolicyList{}},
	},
	// Stored, not obeyed: what a user may do is said by --authorization-file.
	rbacv1.SchemeGroupVersion: {
		{"clusterroles", "clusterrole", nil, false, &rbacv1.ClusterRole{}, &rbacv1.ClusterRoleList{}},
		{"clusterrolebindings", "clusterrolebinding", nil, false, &rbacv1.ClusterRoleBinding{}, &rbacv1.ClusterRoleBindingList{}},
		{"roles", "role", nil, true, &rbacv1.Role{}, &rbacv1.RoleList{}},
		{"rolebindings", "rolebinding", nil, true, &rbacv1.RoleBinding{}, &rbacv1.RoleBindingList{}},
	},
}

var coreScheme = runtime.NewScheme()

func init() {
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, eventsv1.AddToScheme, coordv1.AddToScheme,
		appsv1.AddToScheme, policyv1.AddToScheme, netv1.AddToScheme, rbacv1.AddToScheme} {
		if err := add(coreScheme); err != nil {
			panic(err)
		}
	}
	for gv := range builtins { // the storage asks for an internal version: the same Go types once more
		in := schema.GroupVersion{Group: gv.Group, Version: runtime.APIVersionInternal}
		for kind, t := range coreScheme.KnownTypes(gv) {
			if strings.HasPrefix(t.PkgPath(), "k8s.io/api/") {
				coreScheme.AddKnownTypeWithName(in.WithKind(kind), reflect.New(t).Interface().(runtime.Object))
			}
		}
		coreScheme.SetVersionPriority(gv)
	}
	metav1.AddToGroupVersion(coreScheme, schema.GroupVersion{Version: "v1"})
}

// installBuiltins serves them, and makes the namespaces that every cluster has.
func installBuiltins(s *genericapiserver.GenericAPIServer, etcd genericoptions.EtcdOptions) error {
	codecs := serializer.NewCodecFactory(coreScheme)
	for gv, bs := range builtins {
		o := etcd
		o.StorageConfig.Codec = codecs.LegacyCodec(gv)
		o.StorageConfig.Prefix = "/registry"
		getter := o.CreateRESTOptionsGetter(&genericoptions.SimpleStorageFactory{StorageConfig: o.StorageConfig}, nil)
		st := map[string]rest.Storage{}
		for _, b := range bs {
			store, err := newStore(gv, b, getter)
			if err != nil {
				return err
			}
			st[b.plural] = &mainREST{store, b.short}
			if fieldOf(b.obj, "Status").IsValid() {
				status := *store
				status.UpdateStrategy = strategy{coreScheme, names.SimpleNameGenerator, b.namespaced, true}
				st[b.plural+"/status"] = &statusREST{&status}
			}
		}
		info := genericapiserver.NewDefaultAPIGroupInfo(gv.Group, coreScheme, runtime.NewParameterCodec(coreScheme), codecs)
		info.VersionedResourcesStorageMap[gv.Version] = st
		install := s.InstallAPIGroup
		if gv.Group == "" {
			install = func(i *genericapiserver.APIGroupInfo) error { return s.InstallLegacyAPIGroup("/api", i) }
		}
		if err := install(&info); err != nil {
			return err
		}
	}
	return s.AddPostStartHook("default-namespaces", func(h genericapiserver.PostStartHookContext) error {
		c, err := kubernetes.NewForConfig(h.LoopbackClientConfig)
		if err != nil {
			return err
		}
		for _, n := range []string{"default", "kube-system"} {
			_, err := c.CoreV1().Namespaces().Create(h, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: n}}, metav1.CreateOptions{})
			if err != nil && !apierrors.IsAlreadyExists(err) {
				return err
			}
		}
		return nil
	})
}

func newStore(gv schema.GroupVersion, b builtin, getter generic.RESTOptionsGetter) (*genericregistry.Store, error) {
	attrs := func(o runtime.Object) (labels.Set, fields.Set, error) {
		m, err := meta.Accessor(o)
		if err != nil {
			return nil, nil, err
		}
		f := fields.Set{"metadata.name": m.GetName()}
		if b.namespaced {
			f["metadata.namespace"] = m.GetNamespace()
		}
		return m.GetLabels(), f, nil
	}
	st := strategy{coreScheme, names.SimpleNameGenerator, b.namespaced, false}
	gr := gv.WithResource(b.plural).GroupResource()
	s := &genericregistry.Store{
		NewFunc:     func() runtime.Object { return b.obj.DeepCopyObject() },
		NewListFunc: func() runtime.Object { return b.list.DeepCopyObject() },
		PredicateFunc: func(l labels.Selector, f fields.Selector) storage.SelectionPredicate {
			return storage.SelectionPredicate{Label: l, Field: f, GetAttrs: attrs}
		},
		DefaultQualifiedResource:  gr,
		SingularQualifiedResource: gv.WithResource(b.singular).GroupResource(),
		CreateStrategy:            st, UpdateStrategy: st, DeleteStrategy: st,
		TableConvertor: rest.NewDefaultTableConvertor(gr),
	}
	return s, s.CompleteWithOptions(&generic.StoreOptions{RESTOptions: getter, AttrFunc: attrs})
}

// mainREST is the path of a kind, with its short names for discovery.
type mainREST struct {
	*genericregistry.Store
	short []string
}

func (m *mainREST) ShortNames() []string { return m.short }

// statusREST is the path /status of a kind.
type statusREST struct{ s *genericregistry.Store }

func (r *statusREST) New() runtime.Object { return r.s.New() }
func (r *statusREST) Destroy()            {}
func (r *statusREST) Get(ctx context.Context, name string, o *metav1.GetOptions) (runtime.Object, error) {
	return r.s.Get(ctx, name, o)
}
func (r *statusREST) Update(ctx context.Context, name string, i rest.UpdatedObjectInfo, c rest.ValidateObjectFunc, u rest.ValidateObjectUpdateFunc, _ bool, o *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.s.Update(ctx, name, i, c, u, false, o)
}

func fieldOf(o runtime.Object, name string) reflect.Value {
	return reflect.ValueOf(o).Elem().FieldByName(name)
}

// A strategy keeps spec and status apart: the object's own path leaves the status alone, /status all else.
type strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
	namespaced, status bool
}

func (s strategy) NamespaceScoped() bool        { return s.namespaced }
func (strategy) AllowCreateOnUpdate() bool      { return false }
func (strategy) AllowUnconditionalUpdate() bool { return true }
func (strategy) Canonicalize(runtime.Object)    {}
func (strategy) PrepareForCreate(_ context.Context, o runtime.Object) {
	if f := fieldOf(o, "Status"); f.IsValid() {
		f.SetZero()
	}
	fill(o)
}
func (s strategy) PrepareForUpdate(_ context.Context, o, old runtime.Object) {
	if s.status {
		keep := fieldOf(o, "Status").Interface()
		m := fieldOf(o, "ObjectMeta").Interface().(metav1.ObjectMeta)
		was := old.DeepCopyObject()
		reflect.ValueOf(o).Elem().Set(reflect.ValueOf(was).Elem())
		fieldOf(o, "Status").Set(reflect.ValueOf(keep))
		om := fieldOf(o, "ObjectMeta").Addr().Interface().(*metav1.ObjectMeta)
		om.ResourceVersion, om.ManagedFields = m.ResourceVersion, m.ManagedFields
	} else if f := fieldOf(o, "Status"); f.IsValid() {
		f.Set(fieldOf(old, "Status"))
	}
	fill(o)
}
func (strategy) Validate(context.Context, runtime.Object) field.ErrorList { return nil }
func (strategy) ValidateUpdate(context.Context, runtime.Object, runtime.Object) field.ErrorList {
	return nil
}
func (strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }
func (strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// fill sets what a cluster fills in at once and clients read.
func fill(o runtime.Object) {
	switch o := o.(type) {
	case *corev1.Namespace:
		if o.Status.Phase == "" {
			o.Status.Phase = corev1.NamespaceActive
		}
	case *corev1.Pod:
		if o.Status.Phase == "" {
			o.Status.Phase = corev1.PodPending
		}
	case *corev1.Secret:
		for k, v := range o.StringData {
			if o.Data == nil {
				o.Data = map[string][]byte{}
			}
			o.Data[k] = []byte(v)
		}
		o.StringData = nil
	}
}
