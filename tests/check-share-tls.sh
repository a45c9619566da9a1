#!/bin/sh
# Chunks go over TLS: a server that speaks nothing else, reached through stunnel, and directly where libclkv-share was built with
# hiredis_ssl. Wrong and missing certificates are refused.
# usage: check-share-tls.sh CHECK_SHARE_REDIS CLKV_SHARE
set -eu
check=$1
tool=$2
for need in redis-server openssl stunnel; do
	command -v $need >/dev/null || { echo "SKIPPED: TLS of stores: no $need here (Debian: redis-server openssl stunnel4)"; exit 77; }
done
dir=$(mktemp -d)
pids=
stop() {
	for p in $pids; do kill "$p" 2>/dev/null || :; done
	rm -rf "$dir"
}
trap stop EXIT
trap 'exit 1' INT TERM
base=$((20000 + $$ % 20000)) # ports: TLS, the tunnel
url="127.0.0.1:$base/1?ca=$dir/ca.crt"

certificate() { # NAME ISSUER: signed by an authority of this folder
	openssl req -newkey rsa:2048 -nodes -keyout "$dir/$1.key" -subj "/CN=$1" -out "$dir/$1.csr" 2>/dev/null
	printf 'subjectAltName=IP:127.0.0.1' >"$dir/names"
	openssl x509 -req -in "$dir/$1.csr" -CA "$dir/$2.crt" -CAkey "$dir/$2.key" -CAcreateserial -days 2 \
		-extfile "$dir/names" -out "$dir/$1.crt" 2>/dev/null
}
for authority in ca other; do
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$dir/$authority.key" -subj "/CN=$authority" -days 2 \
		-out "$dir/$authority.crt" 2>/dev/null
done
certificate server ca
certificate client ca

redis-server --port 0 --tls-port $base --bind 127.0.0.1 --save '' --appendonly no --dir "$dir" --tls-cert-file "$dir/server.crt" \
	--tls-key-file "$dir/server.key" --tls-ca-cert-file "$dir/ca.crt" --tls-auth-clients yes >"$dir/server.log" 2>&1 &
pids=$!
sleep 1
kill -0 $pids 2>/dev/null || { cat "$dir/server.log"; echo "SKIPPED: TLS of stores: redis-server has none"; exit 77; }
cat >"$dir/stunnel.conf" <<END
foreground = yes
pid =
[store]
client = yes
accept = 127.0.0.1:$((base + 1))
connect = 127.0.0.1:$base
CAfile = $dir/ca.crt
verifyChain = yes
checkIP = 127.0.0.1
cert = $dir/client.crt
key = $dir/client.key
END
stunnel "$dir/stunnel.conf" >"$dir/stunnel.log" 2>&1 &
pids="$pids $!"
sleep 1

exchange() { # URL: chunks come back
	CK_FORK=no CK_RUN_CASE=server CLKV_SHARE_STORE=$1 "./$check"
}
refused() { # URL WORDS: the tool names what is wrong
	[ -x "$tool" ] || return 0
	! "./$tool" list --store "$1" >"$dir/out" 2>&1 || { echo "$1 was let in"; exit 1; }
	grep -qi "$2" "$dir/out" || { echo "$1: '$2' isn't in:"; cat "$dir/out"; exit 1; }
	echo "refused: $(cat "$dir/out")"
}
exchange "redis://127.0.0.1:$((base + 1))/1"
if ! grep -q '^#define HAVE_HIREDIS_SSL 1' config.h; then
	refused "rediss://$url" 'without hiredis_ssl'
	echo "check-share-tls: through stunnel; this build has no hiredis_ssl"
	exit 0
fi
exchange "rediss://$url&cert=$dir/client.crt&key=$dir/client.key"
refused "rediss://127.0.0.1:$base/1?ca=$dir/other.crt" 'certificate'
refused "rediss://$url" 'certificate\|closed\|reset\|eof'
refused "redis://127.0.0.1:$base/1" '127.0.0.1'
echo "check-share-tls: through stunnel and hiredis_ssl"
