package xk6phoenix

import "sync"

// A queue brings work from any goroutine to the event loop of a VU, in the order in
// which it is posted. All sockets of a VU share one.
//
// While somebody holds the queue the iteration goes on, and tasks run at once. Without
// a hold tasks wait for the next one: that is how a socket outlives an iteration.
type queue struct {
	register func() func(func() error) // of the event loop; to be called on the loop
	flush    func(last bool)           // called on the loop after tasks; last: nobody holds the queue

	mu       sync.Mutex
	tasks    []func() error
	parked   []func() error // for the next hold
	holds    int
	callback func(func() error) // registered and not called yet
	draining bool               // the loop was given drain, which has not ended
}

// hold keeps the iteration going until release. It runs on the loop.
func (q *queue) hold() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.holds++
	if len(q.parked) > 0 {
		q.tasks, q.parked = append(q.parked, q.tasks...), nil
	}
	q.arm()
}

// park keeps a task for the next iteration: it came when this one had ended. It runs in
// a task.
func (q *queue) park(task func() error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.parked = append(q.parked, task)
}

// release ends a hold. It runs in a task.
func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.holds--
}

// post has the loop run a task. Any goroutine may call it.
func (q *queue) post(task func() error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tasks = append(q.tasks, task)
	q.kick()
}

// arm registers a callback if there is none. It runs on the loop, under the lock.
func (q *queue) arm() {
	if q.holds > 0 && q.callback == nil && !q.draining {
		q.callback = q.register()
	}
	q.kick()
}

// kick uses the callback if there is something to do. The lock is held.
func (q *queue) kick() {
	if len(q.tasks) > 0 && q.callback != nil {
		callback := q.callback
		q.callback, q.draining = nil, true
		callback(q.drain)
	}
}

// drain runs what waits. An error, such as an exception in a handler, aborts the
// iteration: the tasks behind it run while k6 ends the iteration.
func (q *queue) drain() error {
	q.mu.Lock()
	tasks := q.tasks
	q.tasks = nil
	q.mu.Unlock()
	var err error
	for i, task := range tasks {
		if err = task(); err != nil {
			q.mu.Lock()
			q.tasks = append(tasks[i+1:], q.tasks...)
			q.mu.Unlock()
			break
		}
	}
	q.mu.Lock()
	last := q.holds == 0
	q.mu.Unlock()
	q.flush(last)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.draining = false
	q.arm()
	return err
}
