// Package errs is how errors are worded, and what they must not say: it keeps what a
// server was told, and may repeat, out of errors and logs.
package errs
