package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// Both files are read anew for each request: a test adds a user while the server runs, and there is no moment at which
// the old rules still hold. They have a few hundred lines at most.

// tokensOf authenticates by a CSV file of lines TOKEN,USER,UID[,"GROUP,..."].
func tokensOf(path string) authenticator.Token {
	return authenticator.TokenFunc(func(ctx context.Context, token string) (*authenticator.Response, bool, error) {
		tokens, err := tokenfile.NewCSV(path)
		if err != nil {
			return nil, false, err
		}
		return tokens.AuthenticateToken(ctx, token)
	})
}

// A rule allows one user one thing.
type rule struct{ user, verb, resource, namespace, name string }

// readRules reads lines "USER VERB GROUP/RESOURCE[/SUBRESOURCE] NAMESPACE NAME". The group of core/v1 is empty. "*" is
// any verb, resource, namespace or name. A line of USER alone allows nothing, and makes sure that the user is in the
// file. Empty lines are skipped.
func readRules(path string) ([]rule, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var rules []rule
	for i, line := range strings.Split(string(text), "\n") {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) == 1 {
			rules = append(rules, rule{user: f[0]})
			continue
		}
		if len(f) != 5 || !strings.Contains(f[2], "/") && f[2] != "*" {
			return nil, fmt.Errorf("%s:%d: not USER VERB GROUP/RESOURCE NAMESPACE NAME: %q", path, i+1, line)
		}
		rules = append(rules, rule{f[0], f[1], f[2], f[3], f[4]})
	}
	return rules, nil
}

func (r rule) allows(verb, resource, namespace, name string) bool {
	is := func(pattern, value string) bool { return pattern == "*" || pattern == value }
	return r.verb != "" && is(r.verb, verb) && is(r.resource, resource) && is(r.namespace, namespace) && is(r.name, name)
}

// authorizerOf allows a user who is in the file what its lines say, and everybody else everything. As with RBAC's
// default roles, paths that are no resources (/version, /api, /readyz) are open to all who have authenticated.
func authorizerOf(path string) authorizer.Authorizer {
	return authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		if !a.IsResourceRequest() {
			return authorizer.DecisionAllow, "", nil
		}
		rules, err := readRules(path)
		if err != nil {
			return authorizer.DecisionDeny, "", err
		}
		resource := a.GetAPIGroup() + "/" + a.GetResource()
		if a.GetSubresource() != "" {
			resource += "/" + a.GetSubresource()
		}
		restricted := false
		for _, r := range rules {
			if r.user != a.GetUser().GetName() {
				continue
			}
			if r.allows(a.GetVerb(), resource, a.GetNamespace(), a.GetName()) {
				return authorizer.DecisionAllow, "", nil
			}
			restricted = true
		}
		if restricted {
			return authorizer.DecisionDeny, "", nil
		}
		return authorizer.DecisionAllow, "", nil
	})
}
