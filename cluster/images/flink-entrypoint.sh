#!/usr/bin/env bash
# Entry point of a Flink image with the official image's layout. The text is Penstock's own.
#
#   jobmanager | taskmanager | standalone-job [arguments]   run that process in the foreground
#   help                                                     say this
#   anything else                                            is run as it stands
#
# Environment:
#   FLINK_PROPERTIES          settings, one `key: value` (or `key=value`) a line, flat keys. They are passed as -D, so
#                             they win over conf/config.yaml and work when that is mounted read-only.
#   ENABLE_BUILT_IN_PLUGINS   jars of opt/, separated by semicolons, to put into plugins/<name>/. This writes below
#                             /opt/flink: with readOnlyRootFilesystem use an image that has the plugin in place, or mount
#                             an emptyDir at plugins/ and an image whose plugins you do not need.
#   JOB_MANAGER_RPC_ADDRESS   the JobManager's host name.
#   DISABLE_JEMALLOC=true     use glibc's allocator (RocksDB fragments it).
set -euo pipefail

home=${FLINK_HOME:-/opt/flink}
settings=()

install_plugins() {
  local jar name
  local -a jars
  IFS=';' read -ra jars <<<"${ENABLE_BUILT_IN_PLUGINS:-}"
  for jar in "${jars[@]}"; do
    jar=${jar//[[:space:]]/}
    [[ -n $jar ]] || continue
    name=${jar%.jar}
    if [[ ! -f $home/opt/$jar ]]; then
      echo "ENABLE_BUILT_IN_PLUGINS: there is no $home/opt/$jar; there are:" "$home"/opt/*.jar >&2
      exit 1
    fi
    if ! { mkdir -p "$home/plugins/$name" && cp "$home/opt/$jar" "$home/plugins/$name/"; }; then
      echo "ENABLE_BUILT_IN_PLUGINS needs a writable $home/plugins" >&2
      exit 1
    fi
  done
}

add_setting() { settings+=(-D "$1=$2"); }

read_settings() {
  local line key value
  if [[ -n ${JOB_MANAGER_RPC_ADDRESS:-} ]]; then
    add_setting jobmanager.rpc.address "$JOB_MANAGER_RPC_ADDRESS"
  elif [[ -w $home/conf/config.yaml ]]; then
    # The image's own configuration says localhost; a mounted one knows better.
    add_setting jobmanager.rpc.address "$(hostname)"
  fi
  while IFS= read -r line; do
    [[ $line =~ ^[[:space:]]*(#.*)?$ ]] && continue
    if [[ $line =~ ^[[:space:]]*([^:=[:space:]]+)[[:space:]]*[:=][[:space:]]*(.*)$ ]]; then
      key=${BASH_REMATCH[1]}
      value=${BASH_REMATCH[2]}
      add_setting "$key" "${value%"${value##*[![:space:]]}"}"
    else
      echo "FLINK_PROPERTIES: not a 'key: value' line: $line" >&2
      exit 1
    fi
  done <<<"${FLINK_PROPERTIES:-}"
}

preload_jemalloc() {
  [[ ${DISABLE_JEMALLOC:-false} == true ]] && return
  local library
  for library in /usr/lib/*-linux-gnu/libjemalloc.so.2; do
    [[ -f $library ]] && export LD_PRELOAD="${LD_PRELOAD:+$LD_PRELOAD:}$library"
  done
  return 0
}

role=${1:-help}
case $role in
  jobmanager | taskmanager | standalone-job)
    shift
    install_plugins
    read_settings
    preload_jemalloc
    exec "$home/bin/$role.sh" start-foreground "${settings[@]}" "$@"
    ;;
  help)
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
    ;;
  *)
    install_plugins
    preload_jemalloc
    exec "$@"
    ;;
esac
