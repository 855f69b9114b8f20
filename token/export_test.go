package token

// MaxKeys is how many salts a Signer keeps the keys of.
const MaxKeys = maxKeys

// SignMessage signs bytes that need not be a term.
func SignMessage(s *Signer, salt string, message []byte) (string, error) {
	k, err := s.key(salt)
	if err != nil {
		return "", err
	}
	return k.sign(message), nil
}

// EncryptMessage encrypts bytes that need not be a term.
func EncryptMessage(s *Signer, salt string, message []byte) (string, error) {
	k, err := s.key(salt)
	if err != nil {
		return "", err
	}
	return k.encrypt(message)
}

// NewSignerKeys returns a Signer, and a function for how many keys it keeps and
// whether that of a salt is one.
func NewSignerKeys(secret string, iterations int) (*Signer, func(salt string) (int, bool)) {
	opts, err := (&Options{KeyIterations: iterations}).withDefaults()
	if err != nil {
		panic(err)
	}
	ring := newKeyring(secret, opts)
	return &Signer{key: ring.key}, func(salt string) (int, bool) {
		ring.mu.RLock()
		defer ring.mu.RUnlock()
		_, ok := ring.bySalt[salt]
		return len(ring.bySalt), ok
	}
}

// Derived returns the key of a salt.
func Derived(s *Signer, salt string) ([]byte, error) {
	k, err := s.key(salt)
	if err != nil {
		return nil, err
	}
	return k.bytes()
}

// Decode reads a term.
func Decode(b []byte) (any, error) { return decode(b) }

// Encode writes a Go value as a term.
func Encode(v any) ([]byte, error) {
	term, err := termOf(v)
	if err != nil {
		return nil, err
	}
	b := appendTerm([]byte{tagVersion}, term)
	if len(b) > maxTermSize {
		return nil, errTooBig()
	}
	return b, nil
}

// Compare is the order of two values as keys of a map.
func Compare(a, b any) (int, error) {
	x, err := termOf(a)
	if err != nil {
		return 0, err
	}
	y, err := termOf(b)
	if err != nil {
		return 0, err
	}
	return compare(x, y), nil
}
