//go:build !unix || solaris || aix

package storage

import (
	"errors"
	"os"
)

func tryLock(*os.File) error   { return errors.ErrUnsupported }
func shareLock(*os.File) error { return errors.ErrUnsupported }
func flush(*os.File) error     { return nil }
