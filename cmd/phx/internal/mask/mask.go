// Package mask takes secrets out of what a person is going to see.
package mask

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Text stands in the place of a secret.
const Text = "[masked]"

// shortest is how many bytes a secret has that is looked for in any text. A shorter
// one would be found within other words.
const shortest = 4

// A Masker takes known secrets out of texts, and what looks like one. The zero value
// is ready. Its methods are safe for concurrent use.
type Masker struct {
	mu      sync.Mutex
	secrets []string
}

// Add makes a secret known.
func (m *Masker) Add(secret string) {
	if len(secret) < shortest {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Contains(m.secrets, secret) {
		m.secrets = append(m.secrets, secret)
	}
}

// IsSecret reports whether a param, a header or a key of a JSON object usually has a
// secret as its value.
func IsSecret(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"token", "secret", "passw", "authorization", "cookie", "jwt", "apikey", "api_key", "api-key", "credential", "session"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// Mask returns a text without secrets. If the text is JSON, the values of keys that
// IsSecret names are masked, too.
func (m *Masker) Mask(text []byte) string {
	if json.Valid(text) {
		text = maskKeys(text)
	}
	return m.MaskText(string(text))
}

// MaskText returns a text without the known secrets, and without what looks like a
// signed token.
func (m *Masker) MaskText(text string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, secret := range m.secrets {
		text = strings.ReplaceAll(text, secret, Text)
		// As it stands within a JSON string.
		if quoted, err := json.Marshal(secret); err == nil {
			text = strings.ReplaceAll(text, string(quoted[1:len(quoted)-1]), Text)
		}
	}
	return signedToken().ReplaceAllString(text, Text)
}

// signedToken matches JSON Web Tokens and those of Phoenix.Token: three parts in
// base64, of which the first is a header that begins with {" or is a known algorithm.
var signedToken = sync.OnceValue(func() *regexp.Regexp { //nolint:gochecknoglobals // compiled once
	return regexp.MustCompile(`\b(eyJ|SFMyNTY|QTEyOEdDTQ|SFMzODQ|SFM1MTI)[\w-]*\.[\w-]+(\.[\w-]+)+`)
})

// maskKeys masks the values of secret keys in a JSON text. All else, and the order of
// keys, stays as it is.
func maskKeys(text []byte) []byte {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var out bytes.Buffer
	copied := 0
	// A frame of a container: whether it is an object, and whether a key comes next.
	type level struct{ object, key bool }
	var levels []level
	for {
		token, err := dec.Token()
		if err != nil {
			break
		}
		if delim, ok := token.(json.Delim); ok {
			switch delim {
			case '{', '[':
				levels = append(levels, level{object: delim == '{', key: delim == '{'})
				continue
			default:
				levels = levels[:len(levels)-1]
			}
		} else if len(levels) > 0 && levels[len(levels)-1].key {
			levels[len(levels)-1].key = false
			if name, ok := token.(string); ok && IsSecret(name) {
				end := int(dec.InputOffset())
				var value json.RawMessage
				if dec.Decode(&value) != nil {
					break
				}
				out.Write(text[copied:end])
				out.WriteString(`:"` + Text + `"`)
				copied = int(dec.InputOffset())
				levels[len(levels)-1].key = true
			}
			continue
		}
		// A value has ended: in an object a key comes next.
		if n := len(levels); n > 0 && levels[n-1].object {
			levels[n-1].key = true
		}
	}
	out.Write(text[copied:])
	return out.Bytes()
}
