# Sourced by the walkthroughs: starts Postern, Envoy and the product, and asks them as their clients do.
#
# Settings: POSTERN, POSTERN_ENVOY, WALK_DIR, WALK_GATE_PORT, WALK_PRODUCT_PORT, WALK_API_PORT, WALK_PROVIDER_PORT.
# It writes to the folder walkthrough only, and ends all that it starts.

root=$PWD
postern=${POSTERN:-$root/bin/postern}
envoy=${POSTERN_ENVOY:-$(command -v envoy || echo "$root/.tools/envoy")}
dir=${WALK_DIR:-walkthrough}
gate=127.0.0.1:${WALK_GATE_PORT:-10000}         # where clients call
product=127.0.0.1:${WALK_PRODUCT_PORT:-10001}   # what Envoy forwards to
api=127.0.0.1:${WALK_API_PORT:-9192}            # Postern's own endpoints
provider=127.0.0.1:${WALK_PROVIDER_PORT:-10002} # the identity provider of mlm

command -v curl >/dev/null || { echo "the walkthrough needs curl" >&2; exit 1; }
rm -rf "$dir"
mkdir -p "$dir"
sed "s/127\.0\.0\.1:9192/$api/" "examples/$example/postern.yaml" >"$dir/postern.yaml"
CGO_ENABLED=0 go build -o "$dir/notes" ./examples/notes
cd "$dir"
dir=$PWD

pids=
end() {
	status=$?
	[ -z "$pids" ] || kill $pids 2>/dev/null || true
	wait
	[ $status -eq 0 ] || tail -n 5 ./*.log >&2
	exit $status
}
trap end EXIT
trap 'exit 130' INT TERM

step() { printf '\n\033[1m%s\033[0m\n' "$1"; }
left() { printf '\n%s\n' "$1"; }
fail() {
	printf 'FAILED: %s\n' "$1" >&2
	exit 1
}
await() { # await WHAT COMMAND...: until the command succeeds, at most twenty seconds
	what=$1
	shift
	for _ in $(seq 200); do
		if "$@" >/dev/null 2>&1; then return; fi
		sleep 0.1
	done
	fail "$what did not get ready; see $dir"
}
start() { # start NAME COMMAND...: in the background, its output in NAME.log
	name=$1
	shift
	"$@" >"$name.log" 2>&1 &
	pids="$pids $!"
}
begin() { # begin PRODUCT-ARGUMENTS...: everything that has to run
	start postern "$postern" serve
	await Postern "$postern" health
	"$postern" render envoy --listen "$gate" --upstream "$product" >envoy.yaml
	"$postern" check config --envoy envoy.yaml
	start product ./notes serve "$product" "$@"
	start envoy "$envoy" -c envoy.yaml --disable-hot-restart
	await "the product" curl -sf "http://$product/count"
	await Envoy curl -s -o /dev/null "http://$gate/api/v1/status"
}

# ask STATUS METHOD PATH [CURL-ARGUMENTS]...: the reply must have that status. Its head is left in head, its body in body.
ask() {
	want=$1 method=$2 path=$3
	shift 3
	shown=$(printf " '%s'" "$@" | sed "s/ '-H'/ -H/g; s/ '-d'/ -d/g; s/ ''\$//; s/\(eyJ[A-Za-z0-9_-]\{8\}\)[A-Za-z0-9_.-]*/\1…/g")
	printf '$ curl -i -X %s %s%s\n' "$method" "$path" "$shown"
	got=$(curl -sS --max-time 20 -D head.txt -o body.txt -w '%{http_code}' -X "$method" "http://$gate$path" "$@")
	head=$(tr -d '\r' <head.txt) body=$(cat body.txt)
	printf '%s %s\n' "$got" "$body" | sed 's/\(eyJ[A-Za-z0-9_-]\{8\}\)[A-Za-z0-9_.-]*/\1…/g'
	[ "$got" = "$want" ] || fail "$method $path: status $got, want $want
$head"
}
holds() { # holds TEXT: the body of the last reply has it
	case $body in *"$1"*) ;; *) fail "the reply lacks $1" ;; esac
}
lacks() {
	case $body in *"$1"*) fail "the reply has $1" ;; esac
}
header() { # header 'name: value': the last reply has it
	printf '%s\n' "$head" | grep -qixF "$1" || fail "the reply lacks the header $1
$head"
}
is() { # is BODY: the last reply is that, byte for byte
	[ "$body" = "$1" ] || fail "the reply is
$body
want
$1"
}
member() { # member NAME: its text in the last reply
	value=$(printf '%s' "$body" | sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p")
	[ -n "$value" ] || fail "the reply has no $1"
	printf '%s' "$value"
}
claims() { # claims JWT: what it says, unverified
	part=$(printf '%s' "$1" | cut -d. -f2 | tr '_-' '/+')
	while [ $((${#part} % 4)) -ne 0 ]; do part="$part="; done
	printf '%s' "$part" | base64 -d
}
seen() { curl -sf "http://$product/count"; } # how many requests reached the product
json='Content-Type: application/json'
