package token

import (
	"crypto"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"sync"
	"sync/atomic"
)

// maxKeys bounds the salts whose keys are kept. A program has a few, unless it
// takes salts from its users by mistake.
const maxKeys = 64

// A keyring derives keys of a secret and keeps them.
type keyring struct {
	secret string
	opts   Options

	mu     sync.RWMutex
	bySalt map[string]*key
}

func newKeyring(secret string, opts Options) *keyring {
	return &keyring{secret: secret, opts: opts, bySalt: make(map[string]*key)}
}

// key returns the key of a salt. Of several callers who need it first, one derives
// it and the others wait.
func (r *keyring) key(salt string) (*key, error) {
	r.mu.RLock()
	k := r.bySalt[salt]
	r.mu.RUnlock()
	if k == nil {
		k = r.add(salt)
	}
	if _, err := k.bytes(); err != nil {
		return nil, err
	}
	return k, nil
}

func (r *keyring) add(salt string) *key {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.bySalt[salt]; k != nil {
		return k
	}
	if len(r.bySalt) >= maxKeys {
		for other := range r.bySalt { // any of them: it can be derived again
			delete(r.bySalt, other)
			break
		}
	}
	k := &key{bytes: sync.OnceValues(func() ([]byte, error) { return r.derive(salt) })}
	r.bySalt[salt] = k
	return k
}

func (r *keyring) derive(salt string) ([]byte, error) {
	k, err := pbkdf2.Key(digest(r.opts.KeyDigest), r.secret, []byte(salt), r.opts.KeyIterations, r.opts.KeyLength)
	if err != nil {
		return nil, fmt.Errorf("token: deriving a key: %w", err)
	}
	return k, nil
}

// digest returns the constructor of a hash that the options allow.
func digest(h crypto.Hash) func() hash.Hash {
	switch h {
	case crypto.SHA384:
		return sha512.New384
	case crypto.SHA512:
		return sha512.New
	default:
		return sha256.New
	}
}

// A key is what is derived for one salt.
type key struct {
	bytes func() ([]byte, error)
	// spare is a MAC that nobody uses, if there is one: to make it costs more
	// than to use it.
	spare atomic.Pointer[mac]
}
