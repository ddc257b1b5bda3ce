# SPDX-License-Identifier: Apache-2.0
"""What a kernel has of that on which Sluice's fast paths rest: each asked for by using it. A skip
says that the kernel lacks it; vmtest/denylist says on which kernels that is known."""

import contextlib
import errno
import os
import socket
import struct
import subprocess

import bpf_syscall as bpf
import pytest

TCP_ULP, SOL_TLS, TLS_TX, TLS_RX = 31, 282, 1, 2
TLS_1_3, AES_GCM_128 = 0x0304, 51


@contextlib.contextmanager
def connection():
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            accepted, _ = server.accept()
            with accepted:
                yield client, accepted


@contextlib.contextmanager
def veth():
    subprocess.run("ip link add vmt0 type veth peer name vmt1".split(), check=True)
    try:
        yield socket.if_nametoindex("vmt0")
    finally:
        subprocess.run("ip link del vmt0".split(), check=True)


def keys(letter):
    """struct tls12_crypto_info_aes_gcm_128: version, cipher, iv, key, salt, record sequence."""
    secret = (letter * 8, letter * 16, letter * 4)
    return struct.pack("<HH8s16s4s8s", TLS_1_3, AES_GCM_128, *secret, bytes(8))


def encrypt(client, server, letter):
    client.setsockopt(SOL_TLS, TLS_TX, keys(letter))
    server.setsockopt(SOL_TLS, TLS_RX, keys(letter))
    client.sendall(letter * 100)
    assert server.recv(1000) == letter * 100


def test_ktls():
    with connection() as (client, server):
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
        encrypt(client, server, b"a")


def test_ktls_new_key():
    with connection() as (client, server):
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
        encrypt(client, server, b"a")
        try:
            client.setsockopt(SOL_TLS, TLS_TX, keys(b"b"))
        except OSError as error:
            assert error.errno == errno.EBUSY
            pytest.skip("no second key for a kTLS connection")
        # The receiver takes a new key only behind a KeyUpdate record; the sender's is enough here.


def test_sched_ext():
    if not os.path.exists("/sys/kernel/sched_ext"):
        pytest.skip("no sched_ext")
    with open("/sys/kernel/sched_ext/state", encoding="ascii") as file:
        assert file.read() == "disabled\n"


def test_tcx_link():
    program = bpf.load_returning(-1, bpf.PROG_SCHED_CLS)
    with veth() as index:
        try:
            os.close(bpf.link_create(program, index, bpf.ATTACH_TCX_INGRESS))
        except OSError as error:
            assert error.errno == errno.EINVAL
            pytest.skip("no tcx links")
        finally:
            os.close(program)


def test_xdp_link_on_veth():
    program = bpf.load_returning(2, bpf.PROG_XDP)
    with veth() as index:
        os.close(bpf.link_create(program, index, bpf.ATTACH_XDP))
    os.close(program)


def test_syscall_program():
    program = bpf.load_returning(42, bpf.PROG_SYSCALL, bpf.F_SLEEPABLE)
    assert bpf.test_run(program) == 42
    os.close(program)


def test_sockhash_takes_a_connection():
    with connection() as (client, _):
        sockhash = bpf.map_create(bpf.MAP_SOCKHASH, 4, 8, 16)
        bpf.map_update(sockhash, b"key1", struct.pack("<Q", client.fileno()))
        os.close(sockhash)
