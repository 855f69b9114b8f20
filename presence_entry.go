package phoenix

import "github.com/phxgo/phoenix/internal/roster"

// The list itself is the work of package roster: how it is decoded, what a state
// or a diff makes of it, and what has changed between two lists.

// A PresenceEntry is who is present under one key: for example a user, with a
// meta for each device. Snapshots and changes share entries: treat them as
// read-only. Its fields are:
//
//	Key    string
//	Metas  []PresenceMeta[M] // in the order in which they came
//	Fields Payload           // a JSON object with what fetch/2 added, or {}
//
// An entry in a list has at least one meta. An entry without metas stands for
// somebody who is not present.
type PresenceEntry[M any] = roster.Entry[M, Payload]

// A PresenceMeta is one thing that the server tracks under a key, usually one
// joined channel. Its fields are:
//
//	Ref     string          // the phx_ref, which is unique
//	PrevRef string          // the phx_ref_prev, which the last update replaced, or ""
//	Value   M               // the decoded meta
//	Raw     json.RawMessage // the JSON text of the meta, with its refs
//	Err     error           // why Raw cannot be decoded into an M; Value is then zero
//
// Ref is "" if the server sends none, which is unusual. Metas are then told apart
// by their text.
type PresenceMeta[M any] = roster.Meta[M]

// PresenceKind is the kind of a [PresenceChange]. It prints as "join", "leave" or
// "update".
type PresenceKind = roster.Kind

// The kinds of changes.
const (
	// PresenceJoin: metas came, and none went.
	PresenceJoin = roster.Join
	// PresenceLeave: metas went, and none came.
	PresenceLeave = roster.Leave
	// PresenceUpdate: metas were replaced, as Presence.update does, or something
	// else in the entry changed.
	PresenceUpdate = roster.Update
)

// A PresenceChange is a change under one key. Treat it as read-only. Its fields
// are:
//
//	Kind          PresenceKind
//	Key           string
//	Joined, Left  []PresenceMeta[M] // the metas that came and went
//	Before, After PresenceEntry[M]  // the entry before and after the change
//	Resync        bool              // found by comparing the list with a new state
//
// An update has metas that came and metas that went. It has neither if only
// Fields, or the text or order of metas, changed. Before has no Metas if nobody
// was present under the key, and After has none if nobody is any more. Resync
// says that no diff told the change: it was found in a state that the server sent
// after a join or rejoin, and may have happened at any time since the list was
// last in sync.
//
// Its methods CameOnline and WentOffline report whether nobody was present under
// the key before the change, and whether nobody is after it.
type PresenceChange[M any] = roster.Change[M, Payload]

// A presenceList is who is present, by key.
type presenceList[M any] = roster.List[M, Payload]

// A presenceDecoder decodes states and diffs.
type presenceDecoder[M any] = roster.Decoder[M, Payload]
