// Package dialing is what a socket and the transports of this module tell each other
// of an attempt to connect. It goes with the ctx of the attempt, so that it reaches a
// transport beneath one of a user's, too.
package dialing
