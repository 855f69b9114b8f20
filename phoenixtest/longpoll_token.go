package phoenixtest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"sync"
	"time"
)

// pollSessions are the long-poll sessions of a server, by the tokens that it
// has signed.
type pollSessions struct {
	key []byte

	mu   sync.Mutex
	byID map[uint64]*longPoll
	last uint64
}

// pollTokenAge is for how long a token is valid, whatever became of its session.
const pollTokenAge = 1_209_600 * time.Second

func newPollSessions() pollSessions {
	key := make([]byte, sha256.Size)
	rand.Read(key) // which never fails
	return pollSessions{key: key, byID: make(map[uint64]*longPoll)}
}

// add returns the token of a new session.
func (ps *pollSessions) add(lp *longPoll) string {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.last++
	ps.byID[ps.last] = lp
	lp.id = ps.last
	return ps.sign(ps.last)
}

func (ps *pollSessions) remove(lp *longPoll) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	delete(ps.byID, lp.id)
}

// find returns the session of a token, nil if it has ended, and false if the
// token is none of this server's.
func (ps *pollSessions) find(token string) (*longPoll, bool) {
	id, ok := ps.verify(token)
	if !ok {
		return nil, false
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.byID[id], true
}

// A token looks like one of Phoenix.Token, and is as opaque to clients.
const pollTokenHeader = "SFMyNTY." //nolint:gosec // it stands for HS256

func (ps *pollSessions) sign(id uint64) string {
	b := binary.BigEndian.AppendUint64([]byte("phoenixtest"), id)
	b = binary.BigEndian.AppendUint64(b, uint64(time.Now().UnixMilli()))
	signed := pollTokenHeader + base64.RawURLEncoding.EncodeToString(b)
	return signed + "." + base64.RawURLEncoding.EncodeToString(ps.mac(signed))
}

func (ps *pollSessions) mac(signed string) []byte {
	h := hmac.New(sha256.New, ps.key)
	h.Write([]byte(signed))
	return h.Sum(nil)
}

func (ps *pollSessions) verify(token string) (id uint64, ok bool) {
	i := strings.LastIndexByte(token, '.')
	if i < len(pollTokenHeader) {
		return 0, false
	}
	mac, err := base64.RawURLEncoding.DecodeString(token[i+1:])
	if err != nil || !hmac.Equal(mac, ps.mac(token[:i])) {
		return 0, false
	}
	b, err := base64.RawURLEncoding.DecodeString(token[len(pollTokenHeader):i])
	if err != nil || len(b) < 16 {
		return 0, false
	}
	b = b[len(b)-16:]
	at := time.UnixMilli(int64(binary.BigEndian.Uint64(b[8:]))) //nolint:gosec // it was signed
	return binary.BigEndian.Uint64(b), time.Since(at) <= pollTokenAge
}
