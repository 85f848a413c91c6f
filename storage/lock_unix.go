//go:build unix && !solaris && !aix

package storage

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes a lock on the file that nobody shares. errHeld: someone has
// it; errors.ErrUnsupported: the file system has no locks.
func tryLock(f *os.File) error {
	err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errHeld
	}
	return err
}

// shareLock takes the lock together with others, or exchanges a lock that
// nobody shares for one; it waits as long as someone holds it alone.
func shareLock(f *os.File) error { return flock(f, syscall.LOCK_SH) }

func flock(f *os.File, how int) error {
	for {
		switch err := syscall.Flock(int(f.Fd()), how); err {
		case syscall.EINTR:
		case syscall.ENOLCK, syscall.ENOSYS, syscall.ENOTSUP:
			return errors.ErrUnsupported
		default:
			return err
		}
	}
}

// flush flushes a folder's names to the disk.
func flush(dir *os.File) error {
	err := dir.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil // a file system that can't: its names need no flush or get none
	}
	return err
}
