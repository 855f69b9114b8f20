package phoenix

import "github.com/phxgo/phoenix/internal/roster"

// The list itself is the work of package roster: how it is decoded, what a state
// or a diff makes of it, and what has changed between two lists.

// A PresenceEntry is who is present under one key: a user, say, with a meta for
// each of their devices. Entries are shared between snapshots and changes: treat
// them as read-only. Its fields:
//
//	Key string
//	// Metas are in the order in which they came. In a list there is at least
//	// one; an entry without any stands for somebody who is not present.
//	Metas []PresenceMeta[M]
//	// Fields is the JSON object of what fetch/2 on the server added next to the
//	// metas: {} if it added nothing. Get at it with its Decode.
//	Fields Payload
type PresenceEntry[M any] = roster.Entry[M, Payload]

// A PresenceMeta is one thing that the server tracks under a key: as a rule, one
// joined channel. Its fields:
//
//	// Ref is the phx_ref, which is unique. It is "" if the server, against its
//	// custom, sends none; then metas are told apart by their text.
//	Ref string
//	// PrevRef is the phx_ref_prev, which the last update replaced, or "".
//	PrevRef string
//	// Value is what the meta decodes into.
//	Value M
//	// Raw is the JSON text of the meta, with its refs.
//	Raw json.RawMessage
//	// Err says why Raw cannot be decoded into an M; Value is zero then.
//	Err error
type PresenceMeta[M any] = roster.Meta[M]

// PresenceKind says what a [PresenceChange] is. It prints as "join", "leave" or
// "update".
type PresenceKind = roster.Kind

// The kinds of changes.
const (
	// PresenceJoin: metas came, and none went.
	PresenceJoin = roster.Join
	// PresenceLeave: metas went, and none came.
	PresenceLeave = roster.Leave
	// PresenceUpdate: metas were replaced by others, as Presence.update does, or
	// something else of the entry changed.
	PresenceUpdate = roster.Update
)

// A PresenceChange is what changed under one key. It is read-only, as entries
// are. Its fields:
//
//	Kind PresenceKind
//	Key  string
//	// Joined and Left are the metas that came and went. An update has both, or
//	// neither if only Fields changed, or the text or order of metas.
//	Joined, Left []PresenceMeta[M]
//	// Before and After are the entry before and after the change. Before has no
//	// Metas if nobody was present under the key, After if nobody is any more.
//	Before, After PresenceEntry[M]
//	// Resync says that the change was found by comparing the list with a state
//	// that the server sent after a join or rejoin, and not told by a diff: it
//	// may have happened at any time since the list was last in sync.
//	Resync bool
//
// Its method CameOnline reports whether nobody was present under the key before:
// the first meta came, not another one. WentOffline reports whether nobody is
// present under the key any more: the last meta went, not one of several.
type PresenceChange[M any] = roster.Change[M, Payload]

// A presenceList is who is present, by key.
type presenceList[M any] = roster.List[M, Payload]

// A presenceDecoder decodes states and diffs.
type presenceDecoder[M any] = roster.Decoder[M, Payload]
