package cache_test

const childEnv = "PINFS_CACHE_TEST_CHILD"

func child(string) {}
