package main

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/phxgo/phoenix"
)

// lines returns a list as it is shown.
func lines(l list) []string {
	head := fmt.Sprintf("%d here", l.Len())
	if !l.Synced() {
		head += ", or not: the list is " + l.Status().String()
	}
	all := []string{head}
	for e := range l.All() {
		var metas []string
		for _, m := range e.Metas {
			metas = append(metas, what(m))
		}
		all = append(all, fmt.Sprintf("  %-8s %-16s %s", printable(e.Key), name(e), strings.Join(metas, ", ")))
	}
	return all
}

// name returns what the server's fetch/2 says of an entry.
func name(e entry) string {
	var fields struct {
		FullName string `json:"full_name"`
	}
	if err := e.Fields.Decode(&fields); err != nil {
		return "" // the server has other fields
	}
	return printable(fields.FullName)
}

func what(m phoenix.PresenceMeta[meta]) string {
	if m.Err != nil {
		return "something else" // the server tracks what we do not know
	}
	return printable(m.Value.Status + " (" + m.Value.Device + ")")
}

// describe returns a change in words.
func describe(c change) string {
	who := printable(c.Key)
	switch {
	case c.CameOnline() && c.Resync:
		return who + " is here"
	case c.CameOnline():
		return who + " came, " + what(c.Joined[0])
	case c.WentOffline() && c.Resync:
		return who + " has gone meanwhile"
	case c.WentOffline():
		return who + " went"
	case c.Kind == phoenix.PresenceJoin:
		return who + " is here with one more device, " + what(c.Joined[0])
	case c.Kind == phoenix.PresenceLeave:
		return who + " went with a device, " + what(c.Left[0])
	case c.Resync:
		return who + " has been away and is back"
	case len(c.Joined) > 0:
		return who + " is now " + what(c.Joined[0])
	}
	return who + " has another name"
}

// printable drops what could play tricks on a terminal: it was written by others.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}
