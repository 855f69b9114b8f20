package phoenix

import "slices"

// A registry holds the channels of a socket, oldest first, and finds them by
// topic. Most sockets have a handful of them: for those a look at each is
// quicker, and smaller, than a map.
type registry struct {
	list  []*Channel
	index map[string]*Channel // nil for a short list
}

// shortList is the longest list that needs no index.
const shortList = 8

func (r *registry) get(topic string) *Channel {
	if r.index != nil {
		return r.index[topic]
	}
	for _, c := range r.list {
		if c.topic == topic {
			return c
		}
	}
	return nil
}

func (r *registry) add(c *Channel) {
	r.list = append(r.list, c)
	switch {
	case r.index != nil:
		r.index[c.topic] = c
	case len(r.list) > shortList:
		r.index = make(map[string]*Channel, 2*shortList)
		for _, c := range r.list {
			r.index[c.topic] = c
		}
	}
}

func (r *registry) remove(c *Channel) {
	r.list = slices.DeleteFunc(r.list, func(x *Channel) bool { return x == c })
	delete(r.index, c.topic)
}
