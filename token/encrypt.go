package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// The headers of encrypted tokens: XChaCha20-Poly1305, which is written, and AES in
// GCM, of Plug.Crypto before 2.0.
const (
	headerXCP = "XCP"
	headerGCM = "QTEyOEdDTQ" // A128GCM
)

// authenticated goes into the tag of every token. It is the name of the cipher of
// old, and did not change with it.
const authenticated = "A128GCM"

var errKeyLength = errors.New("token: encryption needs Options.KeyLength to be 32")

// The sizes of XChaCha20-Poly1305.
const (
	xcpNonceSize = chacha20poly1305.NonceSizeX
	xcpTagSize   = chacha20poly1305.Overhead
)

// encrypt makes a token of a message: nonce, tag and text, in this order.
func (k *key) encrypt(message []byte) (string, error) {
	aead, err := k.xcp()
	if err != nil {
		return "", err
	}
	nonce := make([]byte, xcpNonceSize)
	rand.Read(nonce) // which never fails
	sealed := aead.Seal(nil, nonce, message, []byte(authenticated))
	text, tag := sealed[:len(message)], sealed[len(message):]
	return headerXCP + "." + base64.RawURLEncoding.EncodeToString(slices.Concat(nonce, tag, text)), nil
}

func (k *key) xcp() (cipher.AEAD, error) {
	b, _ := k.bytes()
	aead, err := chacha20poly1305.NewX(b)
	if err != nil {
		return nil, errKeyLength
	}
	return aead, nil
}

// decrypt returns the message of a token that encrypt has made, or any release of
// Plug.Crypto since 1.0.
func (k *key) decrypt(token string) ([]byte, error) {
	header, rest, _ := strings.Cut(token, ".")
	switch header {
	case headerXCP:
		return k.decryptXCP(rest)
	case headerGCM:
		return k.decryptGCM(rest)
	default:
		return nil, ErrInvalid
	}
}

func (k *key) decryptXCP(sealed string) ([]byte, error) {
	aead, err := k.xcp()
	if err != nil {
		return nil, err
	}
	b, ok := decode64(sealed)
	if !ok || len(b) < xcpNonceSize+xcpTagSize {
		return nil, ErrInvalid
	}
	nonce, tag, text := b[:xcpNonceSize], b[xcpNonceSize:xcpNonceSize+xcpTagSize], b[xcpNonceSize+xcpTagSize:]
	message, err := aead.Open(nil, nonce, slices.Concat(text, tag), []byte(authenticated))
	if err != nil {
		return nil, ErrInvalid
	}
	return message, nil
}

// The sizes of AES in GCM.
const (
	gcmNonceSize = 12
	gcmTagSize   = 16
)

// decryptGCM takes the four parts: a key that is encrypted with ours, a nonce, a
// text that is encrypted with that key, and its tag.
func (k *key) decryptGCM(rest string) ([]byte, error) {
	var parts [4][]byte
	texts := strings.SplitN(rest, ".", len(parts)+1)
	if len(texts) != len(parts) {
		return nil, ErrInvalid
	}
	for i, text := range texts {
		var ok bool
		if parts[i], ok = decode64(text); !ok {
			return nil, ErrInvalid
		}
	}
	wrapped, nonce, text, tag := parts[0], parts[1], parts[2], parts[3]
	if len(wrapped) < gcmTagSize+gcmNonceSize || len(nonce) != gcmNonceSize || len(tag) != gcmTagSize {
		return nil, ErrInvalid
	}
	secret, _ := k.bytes()
	switch len(secret) {
	case 16, 24, 32:
	default:
		return nil, errKeyLength
	}
	// The wrapped key has its tag before its nonce.
	middle := len(wrapped) - gcmNonceSize
	contentKey, ok := openGCM(secret, wrapped[middle:], wrapped[:middle], nil)
	if !ok {
		return nil, ErrInvalid
	}
	message, ok := openGCM(contentKey, nonce, append(text, tag...), []byte(authenticated))
	if !ok {
		return nil, ErrInvalid
	}
	return message, nil
}

// openGCM opens a text with its tag behind it.
func openGCM(key, nonce, sealed, ad []byte) ([]byte, bool) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, false
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, false
	}
	message, err := aead.Open(nil, nonce, sealed, ad)
	return message, err == nil
}
