// The Kubernetes API server of Apollo's tests: k8s.io/apiserver with k8s.io/apiextensions-apiserver, from Debian's
// packages, on a real etcd. Watches, conflicts, server-side apply, validation of custom resources, audit: all of it is
// the code that a cluster runs.
//
// It is upstream's server for CustomResourceDefinitions with these differences, for what that server leaves to
// kube-apiserver or to a cluster around it:
//   - who calls is said by a file of tokens, and what they may do by a file of rules (authorize.go);
//   - NamespaceLifecycle is the only admission plugin: objects live only in namespaces that exist;
//   - /apis lists the groups of custom resources, which else is the work of kube-aggregator;
//   - some of kube-apiserver's own kinds are served (builtins.go), described to clients by openapi.go.
package main

import (
	goflag "flag"
	"fmt"
	"net"
	"os"
	"sort"

	"github.com/spf13/pflag"
	noopoteltrace "go.opentelemetry.io/otel/trace/noop"
	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apiextensions-apiserver/pkg/cmd/server/options"
	generatedopenapi "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/version"
	nslifecycle "k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/openapi"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

func main() {
	o := options.NewCustomResourceDefinitionsServerOptions(os.Stdout, os.Stderr)
	ro := o.RecommendedOptions
	ro.Authentication, ro.Authorization, ro.CoreAPI, ro.Admission = nil, nil, nil, nil
	ro.Features.EnablePriorityAndFairness = false
	ro.SecureServing.BindAddress = net.ParseIP("127.0.0.1")
	o.APIEnablement.RuntimeConfig.Set("api/all=true")

	fs := pflag.NewFlagSet("apollo-test-apiserver", pflag.ExitOnError)
	o.AddFlags(fs) // among them those of etcd, of serving and of the audit log
	kf := goflag.NewFlagSet("klog", goflag.ContinueOnError)
	klog.InitFlags(kf)
	fs.AddGoFlag(kf.Lookup("v"))
	tokens := fs.String("token-auth-file", "", "CSV of bearer tokens: TOKEN,USER,UID[,\"GROUP,GROUP\"]")
	rules := fs.String("authorization-file", "", "lines USER VERB GROUP/RESOURCE[/SUBRESOURCE] NAMESPACE NAME; who is in it may do nothing else")
	fs.Parse(os.Args[1:])

	if err := run(o, *tokens, *rules); err != nil {
		fmt.Fprintln(os.Stderr, "apollo-test-apiserver:", err)
		os.Exit(1)
	}
}

func run(o *options.CustomResourceDefinitionsServerOptions, tokens, rules string) error {
	if err := o.ServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return err
	}
	if err := o.Complete(); err != nil {
		return err
	}
	if err := o.Validate(); err != nil {
		return err
	}
	ro := o.RecommendedOptions
	if err := ro.SecureServing.MaybeDefaultWithSelfSignedCerts("localhost", nil, []net.IP{net.ParseIP("127.0.0.1")}); err != nil {
		return err
	}

	c := genericapiserver.NewRecommendedConfig(apiserver.Codecs)
	if err := o.ServerRunOptions.ApplyTo(&c.Config); err != nil {
		return err
	}
	if err := ro.ApplyTo(c); err != nil {
		return err
	}
	if err := o.APIEnablement.ApplyTo(&c.Config, apiserver.DefaultAPIResourceConfigSource(), apiserver.Scheme); err != nil {
		return err
	}
	c.Authentication.Authenticator = group.NewAuthenticatedGroupAdder(bearertoken.New(tokensOf(tokens)))
	c.Authorization.Authorizer = authorizerOf(rules)

	defs := openapi.GetOpenAPIDefinitionsWithoutDisabledFeatures(definitions(generatedopenapi.GetOpenAPIDefinitions))
	namer := openapinamer.NewDefinitionNamer(apiserver.Scheme, coreScheme)
	c.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(defs, namer)
	c.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(defs, namer)

	kc, err := kubernetes.NewForConfig(c.LoopbackClientConfig)
	if err != nil {
		return err
	}
	namespaces := informers.NewSharedInformerFactory(kc, 0)
	lifecycle, err := nslifecycle.NewLifecycle(sets.New("default", "kube-system"))
	if err != nil {
		return err
	}
	lifecycle.SetExternalKubeClientSet(kc)
	lifecycle.SetExternalKubeInformerFactory(namespaces)
	c.AdmissionControl = lifecycle

	cc := (&apiserver.Config{
		GenericConfig: c,
		ExtraConfig: apiserver.ExtraConfig{
			CRDRESTOptionsGetter: options.NewCRDRESTOptionsGetter(*ro.Etcd, c.ResourceTransformers, c.StorageObjectCountTracker),
			ServiceResolver:      webhook.NewDefaultServiceResolver(),
			AuthResolverWrapper:  webhook.NewDefaultAuthenticationInfoResolverWrapper(nil, nil, c.LoopbackClientConfig, noopoteltrace.NewTracerProvider()),
		},
	}).Complete()
	cc.GenericConfig.EnableDiscovery = true // Complete() switches it off: in a cluster kube-aggregator serves /apis
	s, err := cc.New(genericapiserver.NewEmptyDelegate())
	if err != nil {
		return err
	}
	if err := installBuiltins(s.GenericAPIServer, *ro.Etcd); err != nil {
		return err
	}
	s.GenericAPIServer.AddPostStartHookOrDie("namespace-informer", func(h genericapiserver.PostStartHookContext) error {
		namespaces.Start(h.Done())
		return nil
	})
	serveGroups(s)
	return s.GenericAPIServer.PrepareRun().RunWithContext(genericapiserver.SetupSignalContext())
}

// serveGroups keeps /apis in step with the custom resources that are established.
func serveGroups(s *apiserver.CustomResourceDefinitions) {
	inf := s.Informers.Apiextensions().V1().CustomResourceDefinitions()
	ours := map[string]bool{}
	sync := func() { // never runs twice at once: the handlers of one registration are called in turn
		crds, err := inf.Lister().List(labels.Everything())
		if err != nil {
			klog.Error(err)
			return
		}
		groups := map[string]map[string]bool{}
		for _, crd := range crds {
			if coreScheme.IsGroupRegistered(crd.Spec.Group) || !apihelpers.IsCRDConditionTrue(crd, apiextv1.Established) {
				continue
			}
			for _, v := range crd.Spec.Versions {
				if v.Served {
					if groups[crd.Spec.Group] == nil {
						groups[crd.Spec.Group] = map[string]bool{}
					}
					groups[crd.Spec.Group][v.Name] = true
				}
			}
		}
		for name, vs := range groups {
			var names []string
			for v := range vs {
				names = append(names, v)
			}
			sort.Slice(names, func(i, j int) bool { return version.CompareKubeAwareVersionStrings(names[i], names[j]) > 0 })
			g := metav1.APIGroup{Name: name}
			for _, v := range names {
				g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{GroupVersion: name + "/" + v, Version: v})
			}
			g.PreferredVersion = g.Versions[0]
			s.GenericAPIServer.DiscoveryGroupManager.AddGroup(g)
			ours[name] = true
		}
		for name := range ours {
			if groups[name] == nil {
				s.GenericAPIServer.DiscoveryGroupManager.RemoveGroup(name)
				delete(ours, name)
			}
		}
	}
	inf.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { sync() },
		UpdateFunc: func(any, any) { sync() },
		DeleteFunc: func(any) { sync() },
	})
}
