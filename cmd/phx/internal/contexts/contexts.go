// Package contexts keeps named servers in a file of the user's.
package contexts

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// A Context says where and how to connect. The values of Params and Headers may be
// secrets.
type Context struct {
	URL          string   `json:"url"`
	Params       []string `json:"params,omitempty"`  // NAME=VALUE
	Headers      []string `json:"headers,omitempty"` // NAME: VALUE
	AuthTokenEnv string   `json:"auth_token_env,omitempty"`
	AuthTokenCmd string   `json:"auth_token_cmd,omitempty"`
	Origin       string   `json:"origin,omitempty"`
	Vsn          string   `json:"vsn,omitempty"`
	Transport    string   `json:"transport,omitempty"`
	Insecure     bool     `json:"insecure,omitempty"`
	CA           string   `json:"ca,omitempty"`
}

// A Store is what the file holds.
type Store struct {
	// Current is the name of the context that is used without --context, "" for none.
	Current  string             `json:"current,omitempty"`
	Contexts map[string]Context `json:"contexts"`

	// Exposed says that others on the machine can read the file.
	Exposed bool `json:"-"`

	path string
}

// Path is where the file is.
func (s *Store) Path() string { return s.path }

// Load reads the file of the user. A file that is not there is an empty store.
func Load() (*Store, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return nil, fmt.Errorf("no place for contexts: %w", err)
	}
	s := &Store{path: filepath.Join(dir, "phx", "contexts.json")}
	// A link stays one when the file is written.
	if target, err := filepath.EvalSymlinks(s.path); err == nil {
		s.path = target
	}
	const others = 0o077
	if info, err := os.Stat(s.path); err == nil && runtime.GOOS != "windows" {
		s.Exposed = info.Mode().Perm()&others != 0
	}
	data, err := os.ReadFile(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(data, s); err != nil {
			return nil, fmt.Errorf("%s is damaged: %w; repair or remove it", s.path, err)
		}
	}
	if s.Contexts == nil {
		s.Contexts = map[string]Context{}
	}
	return s, nil
}

// Save writes the file, for the user alone. It takes the place of the old one whole,
// or not at all.
func (s *Store) Save() error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(s.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, "contexts-*") // with mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(append(data, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), s.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

// Get returns a context, the current one for "". It returns false if there is none.
func (s *Store) Get(name string) (string, Context, bool) {
	if name == "" {
		name = s.Current
	}
	c, ok := s.Contexts[name]
	return name, c, ok
}
