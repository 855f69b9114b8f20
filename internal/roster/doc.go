// Package roster keeps the list of who is present: it decodes what Phoenix.Presence
// sends, and makes of one list and a state or a diff the next list. It knows no
// socket, and has no lock and no goroutine.
package roster
