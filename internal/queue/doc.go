// Package queue has the queues of a socket: a ring, a queue within limits that
// remembers what is missing in it, and a list from which any element can be taken. It
// has no lock: the owner of a queue guards it.
package queue
