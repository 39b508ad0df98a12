package main

import (
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/util"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// definitions adds the OpenAPI definitions of the built-in kinds to those of base. Server-side apply and kubectl work
// from them. Upstream generates them into k8s.io/kubernetes, which Debian does not package; here they come from the Go
// types by reflection.
func definitions(base common.GetOpenAPIDefinitions) common.GetOpenAPIDefinitions {
	return func(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
		d := definer{base(ref), ref}
		for _, bs := range builtins {
			for _, b := range bs {
				d.define(reflect.TypeOf(b.obj).Elem())
				d.define(reflect.TypeOf(b.list).Elem())
			}
		}
		return d.defs
	}
}

type definer struct {
	defs map[string]common.OpenAPIDefinition
	ref  common.ReferenceCallback
}

func (d definer) define(t reflect.Type) string {
	name := util.GetCanonicalTypeName(reflect.New(t).Interface())
	if _, ok := d.defs[name]; ok {
		return name
	}
	d.defs[name] = common.OpenAPIDefinition{}
	s := spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{"object"}, Properties: map[string]spec.Schema{}}}
	deps := map[string]bool{}
	d.fields(t, &s, deps)
	def := common.OpenAPIDefinition{Schema: s}
	for n := range deps {
		def.Dependencies = append(def.Dependencies, n)
	}
	d.defs[name] = def
	return name
}

func (d definer) fields(t reflect.Type, s *spec.Schema, deps map[string]bool) {
	for i := 0; i < t.NumField(); i++ {
		f := t.Field(i)
		tag := strings.Split(f.Tag.Get("json"), ",")
		if f.Anonymous && tag[0] == "" {
			d.fields(f.Type, s, deps)
			continue
		}
		if tag[0] == "" || tag[0] == "-" {
			continue
		}
		p := d.schema(f.Type, deps)
		if f.Type.Kind() == reflect.Slice && strings.Contains(f.Tag.Get("patchStrategy"), "merge") {
			if k := f.Tag.Get("patchMergeKey"); k != "" {
				p.AddExtension("x-kubernetes-list-type", "map")
				keys := []any{k}
				if _, ok := f.Type.Elem().FieldByName("Protocol"); ok {
					keys = append(keys, "protocol") // ports: the tag names one key, upstream's schema two
				}
				p.AddExtension("x-kubernetes-list-map-keys", keys)
				p.AddExtension("x-kubernetes-patch-merge-key", k)
			} else {
				p.AddExtension("x-kubernetes-list-type", "set")
			}
			p.AddExtension("x-kubernetes-patch-strategy", f.Tag.Get("patchStrategy"))
		}
		if f.Type == reflect.TypeFor[corev1.Protocol]() {
			p.Default = string(corev1.ProtocolTCP) // what a part of a key that is not said means
		}
		s.Properties[tag[0]] = p
	}
}

func (d definer) schema(t reflect.Type, deps map[string]bool) spec.Schema {
	for t.Kind() == reflect.Ptr {
		t = t.Elem()
	}
	if o, ok := reflect.New(t).Interface().(common.OpenAPIDefinitionGetter); ok {
		return o.OpenAPIDefinition().Schema
	}
	if o, ok := reflect.New(t).Interface().(interface {
		OpenAPISchemaType() []string
		OpenAPISchemaFormat() string
	}); ok {
		return *spec.StringProperty().Typed(o.OpenAPISchemaType()[0], o.OpenAPISchemaFormat())
	}
	switch k := t.Kind(); {
	case k == reflect.Struct:
		n := d.define(t)
		deps[n] = true
		return spec.Schema{SchemaProps: spec.SchemaProps{Default: map[string]any{}, Ref: d.ref(n)}}
	case k == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return *new(spec.Schema).Typed("string", "byte")
	case k == reflect.Slice:
		e := d.schema(t.Elem(), deps)
		return *spec.ArrayProperty(&e)
	case k == reflect.Map:
		e := d.schema(t.Elem(), deps)
		return *spec.MapProperty(&e)
	case k == reflect.Bool:
		return *new(spec.Schema).Typed("boolean", "")
	case k == reflect.Int32:
		return *new(spec.Schema).Typed("integer", "int32")
	case k == reflect.Int64 || k == reflect.Int:
		return *new(spec.Schema).Typed("integer", "int64")
	case k == reflect.Float64:
		return *new(spec.Schema).Typed("number", "double")
	}
	return *new(spec.Schema).Typed("string", "")
}
