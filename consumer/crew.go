package consumer

import (
	"sync"
	"time"
)

// crew counts the handlers.
type crew struct {
	mu      sync.Mutex
	left    *sync.Cond
	present int // handlers that have not returned
	working int // those of them that don't just wait to be put back
}

func (c *crew) count(present, working int) {
	c.mu.Lock()
	c.present += present
	c.working += working
	c.mu.Unlock()
	c.left.Broadcast()
}

// wait waits until a condition on the counts holds, but not for too long, and
// tells whether it does.
func (c *crew) wait(most time.Duration, holds func() bool) bool {
	late := false
	timer := time.AfterFunc(most, func() {
		c.mu.Lock()
		late = true
		c.mu.Unlock()
		c.left.Broadcast()
	})
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !holds() && !late {
		c.left.Wait()
	}
	return holds()
}
