# SPDX-License-Identifier: Apache-2.0
"""
Two routers between the gateway and a far end, @name: NAMEr next to the gateway, NAMEq next to the
far end. Of either, the interface `near` leads to the gateway, and `far` away from it.
"""

FAR = 2  # so much higher are the numbers of the networks of far ends


def wire(box, name, ours, theirs, net):
    box.run("sh", "-exc", f"""
        for i in {name} {name}r {name}q; do ip netns add $i; done
        ip link add {ours} type veth peer name near netns {name}r
        ip -n {name}r link add far type veth peer name near netns {name}q
        ip -n {name}q link add far type veth peer name {theirs} netns {name}
        address() {{ ip -n $1 address add $3 dev $2 && ip -n $1 address add $4 dev $2 nodad; }}
        ip address add 10.{net}.0.1/24 dev {ours}
        ip address add fd0{net}::1/64 dev {ours} nodad
        address {name}r near 10.{net}.0.8/24 fd0{net}::8/64
        address {name}r far 10.{net}.1.1/24 fd0{net}:1::1/64
        address {name}q near 10.{net}.1.2/24 fd0{net}:1::2/64
        address {name}q far 10.{net + FAR}.0.1/24 fd0{net + FAR}::1/64
        address {name} {theirs} 10.{net + FAR}.0.2/24 fd0{net + FAR}::2/64
        ip link set {ours} up
        for i in {name}r {name}q; do
            ip -n $i link set near up
            ip -n $i link set far up
            ip netns exec $i sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward
                                    echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
        done
        ip -n {name} link set {theirs} up
        route() {{ $1 route add $2 via $4 && $1 -6 route add $3 via $5; }}
        route ip 10.{net + FAR}.0.0/24 fd0{net + FAR}::/64 10.{net}.0.8 fd0{net}::8
        route "ip -n {name}r" 10.{net + FAR}.0.0/24 fd0{net + FAR}::/64 10.{net}.1.2 fd0{net}:1::2
        route "ip -n {name}q" 10.{net}.0.0/24 fd0{net}::/64 10.{net}.1.1 fd0{net}:1::1
        route "ip -n {name}" 10.{net}.0.0/24 fd0{net}::/64 10.{net + FAR}.0.1 fd0{net + FAR}::1
    """)


def narrow(network, name, ours, link, mtu):
    """From now on a link is: "near", at the gateway's @ours, or "middle", between the routers."""
    if link == "near":
        network.inside("", "ip", "link", "set", ours, "mtu", mtu)
        network.inside(f"{name}r", "ip", "link", "set", "near", "mtu", mtu)
    else:
        network.inside(f"{name}r", "ip", "link", "set", "far", "mtu", mtu)
        network.inside(f"{name}q", "ip", "link", "set", "near", "mtu", mtu)
