# SPDX-License-Identifier: Apache-2.0
# The tests that depend on the kernel, in virtual machines. See vmtest/README.md.

.PHONY: vmtest vmtest-all
vmtest: build unit-bins ## kernel-dependent tests, in a virtual machine
	$(Q)vmtest/matrix --kernels default --json out/vmtest.json

vmtest-all: build unit-bins ## all that can run in a guest, on several kernels (results: out/vmtest-matrix.json)
	$(Q)vmtest/matrix --all
