#!/usr/bin/env bash
# Install the programs and packages that tests/interop compares cryotypes with:
#
#   FOLDER/cryohub   a virtual environment with cryohub 0.6.4 and this checkout of cryotypes
#   FOLDER/blik      the same with blik 0.9.2, napari and napari-ome-zarr, without Qt
#   FOLDER/alignments  the same with cryoet-alignment, etomofiles and alnfile
#   FOLDER/zarr_peers  the same with ome-zarr, ome-zarr-models, TensorStore and ngff-zarr
#   FOLDER/peers, copick, cryocat  packages that read and write particles, without this checkout
#   relion           Debian's package, where relion_project is not on PATH and apt-get may be used
#
#   FOLDER/torch     torch-tilt-series, only where CRYOTYPES_INTEROP_TORCH is set
#
# Then run: CRYOTYPES_INTEROP=FOLDER pytest -m interop
# Running it again only replaces this checkout. PYTHON=... chooses the interpreter (3.11 or newer).
set -euo pipefail

[[ $# == 1 ]] || {
    echo "usage: tests/interop/install.sh FOLDER" >&2
    exit 2
}
mkdir -p "$1"
folder=$(cd "$1" && pwd)
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "install.sh: $python is older than 3.11; name another one with PYTHON=..." >&2
    exit 1
}

# Both were written before scipy 1.17 changed what a single-axis from_euler returns.
cryohub=("scipy<1.17" "cryohub==0.6.4" pytest)
# blik.utils imports napari at the top; napari itself needs no Qt until a viewer is opened.
blik=("scipy<1.17" "blik==0.9.2" "cryohub==0.6.4" napari napari-ome-zarr==0.10.0 pytest)
# Readers of IMOD's and AreTomo's alignments; none needs the others.
alignments=(cryoet-alignment==0.2.0 etomofiles==0.1.2 alnfile==0.1.1 pytest)
# Readers and writers of OME-Zarr, and its specifications as checks.
zarr_peers=(ome-zarr==0.18.0 ome-zarr-models==1.7 tensorstore==0.1.86 ngff-zarr==0.50.0 pytest)
# Readers and writers of particles; what is compared with each is in tests/interop/peers.
peers=(starfile==0.5.13 dynamotable==0.3.0 emfile==0.3.0 imodmodel==0.1.0 eulerangles==1.0.2
    cryosparc-tools==5.0.3)
copick=(copick==1.31.0)
torch=(torch-tilt-series==0.6.0 pytest) # brings torch, some gigabytes: only on request
cryocat=(cryocat==0.7.1 "pandas<3") # its writers call what pandas 3 no longer has

packages() { # NAME REQUIREMENT...
    local env=$folder/$1
    shift
    [[ -x $env/bin/pip ]] || "$python" -m venv --clear "$env"
    # pip keeps what fits already, and always replaces what comes from a folder. -qq: errors only.
    # Python compiles what it imports; compiling everything takes half of the time.
    "$env/bin/python" -m pip install -qq --no-compile --disable-pip-version-check "$@"
}

environment() { # NAME REQUIREMENT...
    # The checkout in the same command: the resolver takes it instead of cryotypes 0.2.0.
    packages "$@" "$checkout"
}

relion() {
    if command -v relion_project >/dev/null; then
        return
    fi
    local as_root=()
    if [[ $(id -u) != 0 ]]; then
        if ! sudo -n true 2>/dev/null; then
            echo "relion: relion_project is not on PATH, and only root can install it" >&2
            return
        fi
        as_root=(sudo -n)
    fi
    if ! command -v apt-get >/dev/null; then
        echo "relion: relion_project is not on PATH, and there is no apt-get to install it" >&2
        return
    fi
    "${as_root[@]}" apt-get -qq update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -y install --no-install-recommends relion >/dev/null
}

step() { # NAME COMMAND...: run it, and show its output if it fails
    local name=$1 start=$SECONDS log=$folder/$1.log
    shift
    "$@" >"$log" 2>&1 & # a condition would switch "set -e" off inside the command
    if wait $!; then
        cat "$log"
        echo "$name: done in $((SECONDS - start)) s"
    else
        cat "$log" >&2
        echo "$name: failed; the messages are above and in $log" >&2
        return 1
    fi
}

jobs=()
step cryohub environment cryohub "${cryohub[@]}" & jobs+=($!)
step blik environment blik "${blik[@]}" & jobs+=($!)
step alignments environment alignments "${alignments[@]}" & jobs+=($!)
step zarr_peers environment zarr_peers "${zarr_peers[@]}" & jobs+=($!)
step peers packages peers "${peers[@]}" & jobs+=($!)
step copick packages copick "${copick[@]}" & jobs+=($!)
step cryocat packages cryocat "${cryocat[@]}" & jobs+=($!)
step relion relion & jobs+=($!)
if [[ -n ${CRYOTYPES_INTEROP_TORCH:-} ]]; then
    step torch environment torch "${torch[@]}" & jobs+=($!)
fi

failed=0
for job in "${jobs[@]}"; do
    wait "$job" || failed=1
done
exit $failed
