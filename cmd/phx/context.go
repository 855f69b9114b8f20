package main

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/phxgo/phoenix/cmd/phx/internal/contexts"
)

func newContextCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "context",
		Short: "Keep servers under a name",
		Long: `context keeps the flags with which to connect under a name: the URL, params, headers, and
where the auth token comes from. They are stored in the user's config directory, in
phx/contexts.json, which only the user can read.

The context in use takes the place of --url. --context NAME uses another one for one
command, and --url none. Other flags add to the context, or replace what it says.`,
		Example: `  phx context add prod --url wss://example.com/socket --auth-token-cmd 'pass show phx'
  phx context use prod
  phx listen room:lobby
  phx context use --none`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage("which one: add, list, use or rm?")
		},
	}
	cmd.AddCommand(contextAdd(a), contextList(a), contextUse(a), contextRemove(a))
	return cmd
}

func contextAdd(a *app) *cobra.Command {
	c := &connection{app: a, timeout: defaultTimeout}
	cmd := &cobra.Command{
		Use:   "add NAME --url URL",
		Short: "Add or replace a context",
		Args:  between(1, 1, "NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			if c.url == "" {
				return usage("--url is missing")
			}
			if strings.TrimSpace(args[0]) == "" || clean(args[0]) != args[0] {
				return usage("the NAME must be text that can be typed")
			}
			if c.authToken != "" {
				return usage("a context keeps no auth token, which would be old soon: use --auth-token-env or --auth-token-cmd")
			}
			if err := c.check(); err != nil {
				return err
			}
			// What a socket would refuse is better refused now.
			if err := c.tryOptions(); err != nil {
				return err
			}
			return change(func(store *contexts.Store) error {
				store.Contexts[args[0]] = contexts.Context{
					URL: c.url, Params: c.params, Headers: c.headers, AuthTokenEnv: c.authTokenEnv, AuthTokenCmd: c.authTokenCmd,
					Origin: c.origin, Vsn: c.vsn, Transport: c.transport, Insecure: c.insecure, CA: c.ca,
				}
				return nil
			})
		},
	}
	c.endpointFlags(cmd.Flags())
	return cmd
}

func contextList(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the contexts, without their secrets",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			store, err := contexts.Load()
			if err != nil {
				return err
			}
			for _, name := range slices.Sorted(maps.Keys(store.Contexts)) {
				if asJSON {
					if err := a.out.JSON(newContextJSON(name, name == store.Current, store.Contexts[name])); err != nil {
						return err
					}
					continue
				}
				mark := " "
				if name == store.Current {
					mark = "*"
				}
				a.out.Printf("%s %s %s\n", mark, clean(name), contextText(store.Contexts[name]))
			}
			return nil
		},
	}
	jsonFlag(cmd.Flags(), &asJSON)
	return cmd
}

func contextUse(*app) *cobra.Command {
	none := false
	cmd := &cobra.Command{
		Use:   "use NAME",
		Short: "Use a context from now on",
		Args:  between(0, 1, "NAME, or --none"),
		RunE: func(_ *cobra.Command, args []string) error {
			if none == (len(args) == 1) {
				return usage("give a NAME, or --none")
			}
			return change(func(store *contexts.Store) error {
				if none {
					store.Current = ""
					return nil
				}
				if _, ok := store.Contexts[args[0]]; !ok {
					return noContext(args[0])
				}
				store.Current = args[0]
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&none, "none", false, "use no context")
	return cmd
}

func contextRemove(*app) *cobra.Command {
	return &cobra.Command{
		Use:   "rm NAME",
		Short: "Remove a context",
		Args:  between(1, 1, "NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			return change(func(store *contexts.Store) error {
				if _, ok := store.Contexts[args[0]]; !ok {
					return noContext(args[0])
				}
				delete(store.Contexts, args[0])
				if store.Current == args[0] {
					store.Current = ""
				}
				return nil
			})
		},
	}
}

// change reads the contexts, changes and writes them.
func change(fn func(*contexts.Store) error) error {
	store, err := contexts.Load()
	if err != nil {
		return err
	}
	if err := fn(store); err != nil {
		return err
	}
	return store.Save()
}

func noContext(name string) error {
	return usage(fmt.Sprintf("no context %q: phx context list shows them", name))
}

// contextText describes a context without what may be a secret.
func contextText(c contexts.Context) string {
	parts := []string{bareURL(c.URL)}
	if names := paramNames(c); len(names) > 0 {
		parts = append(parts, "params: "+strings.Join(names, ", "))
	}
	if names := headerNames(c); len(names) > 0 {
		parts = append(parts, "headers: "+strings.Join(names, ", "))
	}
	switch {
	case c.AuthTokenEnv != "":
		parts = append(parts, "auth token: from "+c.AuthTokenEnv)
	case c.AuthTokenCmd != "":
		parts = append(parts, "auth token: from a command")
	}
	for name, value := range map[string]string{"origin": c.Origin, "vsn": c.Vsn, "transport": c.Transport, "ca": c.CA} {
		if value != "" {
			parts = append(parts, name+": "+value)
		}
	}
	if c.Insecure {
		parts = append(parts, "insecure")
	}
	slices.Sort(parts[1:])
	return strings.Join(parts, "; ")
}

// paramNames returns the names of the params: the values may be secrets.
func paramNames(c contexts.Context) []string {
	params, err := pairs(c.Params)
	if err != nil {
		return nil
	}
	names := make([]string, len(params))
	for i, p := range params {
		names[i] = p.name
	}
	return names
}

// headerNames returns the sorted names of the headers: the values may be secrets.
func headerNames(c contexts.Context) []string {
	header, err := headerLines(c.Headers)
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(header))
}

// A contextJSON is what phx context list --json prints of a context: nothing that may
// be a secret.
type contextJSON struct {
	Name    string   `json:"name"`
	Current bool     `json:"current"`
	URL     string   `json:"url"`
	Params  []string `json:"params,omitempty"`  // names
	Headers []string `json:"headers,omitempty"` // names
	// AuthToken says where the auth token comes from: "env" or "command".
	AuthToken    string `json:"auth_token,omitempty"`
	AuthTokenEnv string `json:"auth_token_env,omitempty"`
	Origin       string `json:"origin,omitempty"`
	Vsn          string `json:"vsn,omitempty"`
	Transport    string `json:"transport,omitempty"`
	Insecure     bool   `json:"insecure,omitempty"`
	CA           string `json:"ca,omitempty"`
}

func newContextJSON(name string, current bool, c contexts.Context) contextJSON {
	line := contextJSON{
		Name: name, Current: current, URL: bareURL(c.URL), Params: paramNames(c), Headers: headerNames(c),
		AuthTokenEnv: c.AuthTokenEnv, Origin: c.Origin, Vsn: c.Vsn, Transport: c.Transport, Insecure: c.Insecure, CA: c.CA,
	}
	switch {
	case c.AuthTokenEnv != "":
		line.AuthToken = "env"
	case c.AuthTokenCmd != "":
		line.AuthToken = "command"
	}
	return line
}

// bareURL returns a URL without user and query, which may be secrets.
func bareURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "(not a URL)"
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment = nil, "", false, ""
	return u.String()
}

// useContext fills in what the flags leave open from the context, if there is one.
func (c *connection) useContext() error {
	if c.url != "" {
		if c.context != "" {
			return usage("use --url or --context, not both: a context's secrets are for its own server")
		}
		return nil
	}
	store, err := contexts.Load()
	if err != nil {
		return err
	}
	name, kept, ok := store.Get(c.context)
	if !ok {
		if name == "" {
			return nil
		}
		return noContext(name)
	}
	if store.Exposed {
		c.app.err.Printf("phx: others on this machine can read the contexts, and so their secrets: chmod 600 %s\n", store.Path())
	}
	if kept.URL == "" {
		return fmt.Errorf("%s is damaged: the context %s has no URL", store.Path(), name)
	}
	c.url = kept.URL
	c.params = merge(kept.Params, c.params, "=")
	c.headers = merge(kept.Headers, c.headers, ":")
	if c.authToken == "" && c.authTokenEnv == "" && c.authTokenCmd == "" {
		c.authTokenEnv, c.authTokenCmd = kept.AuthTokenEnv, kept.AuthTokenCmd
	}
	for flag, value := range map[*string]string{&c.origin: kept.Origin, &c.vsn: kept.Vsn, &c.transport: kept.Transport, &c.ca: kept.CA} {
		if *flag == "" {
			*flag = value
		}
	}
	c.insecure = c.insecure || kept.Insecure
	c.app.err.Printf("phx: context %s: %s\n", clean(name), bareURL(c.url))
	// What the file says may have been changed by hand, or contradict the flags.
	if err := c.check(); err != nil {
		return usage(fmt.Sprintf("with the context %s: %v", name, err))
	}
	return nil
}

// merge returns what the context says, without the names that the flags have, and
// then the flags.
func merge(kept, flags []string, separator string) []string {
	name := func(text string) string {
		before, _, _ := strings.Cut(text, separator)
		return strings.ToLower(strings.TrimSpace(before))
	}
	var all []string
	for _, text := range kept {
		if !slices.ContainsFunc(flags, func(flag string) bool { return name(flag) == name(text) }) {
			all = append(all, text)
		}
	}
	return append(all, flags...)
}
