#!/bin/bash -p
# The Python of an environment layer: starts bin/python_ in such a way that the shared libraries of this layer, and of those
# below it, are found. Made by `dlcast layers link`, which also mends it.
#
# -p: bash reads no file that the environment names, and takes no functions from it. No program is called, as there may be no
# PATH, except for one by its own path when a link leads here from another folder. All names begin with dlcast_: a variable of
# the user's that has the same name would be changed for Python, too.

dlcast_fail() {
  printf '%s: %s\n' "$0" "$1" >&2
  exit 126
}

# Where this file is. Links of other environments lead here, too; Python then has to be told the name that was used there.
dlcast_self=$0
if [[ $dlcast_self != /* ]]; then
  [[ -n $PWD ]] || dlcast_fail "the current folder is gone: enter another one, or start this by its whole path"
  dlcast_self=$PWD/$dlcast_self
fi
dlcast_other=
while [[ -L $dlcast_self ]]; do
  dlcast_bin=${dlcast_self%/*}
  if [[ ! -L $dlcast_bin/python && $dlcast_self -ef $dlcast_bin/python ]]; then
    dlcast_self=$dlcast_bin/python # From python3 beside it.
    break
  fi
  if [[ -z $dlcast_other && (-e $dlcast_bin/pyvenv.cfg || -e $dlcast_bin/../pyvenv.cfg) ]]; then
    dlcast_other=${dlcast_self/%python_/python} # From the wrapper that venvstacks has put there.
  fi
  dlcast_tool=/usr/bin/readlink
  [[ -x $dlcast_tool ]] || dlcast_tool=/bin/readlink
  # The slash keeps newlines at the end.
  dlcast_link=$("$dlcast_tool" -n -- "$dlcast_self" && printf /) || dlcast_fail "cannot follow the link $dlcast_self"
  dlcast_self=${dlcast_link%/}
  [[ $dlcast_self == /* ]] || dlcast_self=$dlcast_bin/$dlcast_self
done

# Its folder without links, so that every start names the libraries' folders alike. Python is told the path that was used,
# unless that has dots.
dlcast_bin=${dlcast_self%/*}
dlcast_rest=$dlcast_bin
[[ $dlcast_bin/ != *//* && $dlcast_bin/ != */./* && $dlcast_bin/ != */../* ]] || dlcast_self=
while [[ -n $dlcast_self && -n $dlcast_rest && ! -L $dlcast_rest ]]; do
  dlcast_rest=${dlcast_rest%/*}
done
if [[ -n $dlcast_rest ]]; then
  dlcast_rest=$(cd -P -- "$dlcast_bin" && printf '%s/' "$PWD") || dlcast_fail "cannot enter the folder $dlcast_bin"
  dlcast_bin=${dlcast_rest%/}
  [[ $dlcast_bin != //* ]] || dlcast_bin=${dlcast_bin#/}
fi
[[ -n $dlcast_self ]] || dlcast_self=$dlcast_bin/python

dlcast_layer=${dlcast_bin%/*}

# Where Python takes its standard library from, as a whole path. Where that is gone, it would take another one, or none.
dlcast_home=
if [[ -f $dlcast_layer/pyvenv.cfg ]]; then
  while IFS= read -r dlcast_entry || [[ -n $dlcast_entry ]]; do
    dlcast_rest=${dlcast_entry%%=*}
    [[ ${dlcast_rest//[[:space:]]/} == [Hh][Oo][Mm][Ee] && $dlcast_entry == *=* ]] || continue
    dlcast_rest=${dlcast_entry#*=}
    dlcast_rest=${dlcast_rest#"${dlcast_rest%%[![:space:]]*}"}
    dlcast_home=${dlcast_rest%"${dlcast_rest##*[![:space:]]}"}
    [[ -d $dlcast_home ]] ||
      dlcast_fail "home in $dlcast_layer/pyvenv.cfg is $dlcast_home, which is not there: where the runtime was moved with the stack, run dlcast layers link; elsewhere, make the environment anew"
    break
  done <"$dlcast_layer/pyvenv.cfg"
fi

# venv --copies copies this file, if this is its Python. The environment is no layer then, and starts the interpreter of its home,
# as it would without this.
dlcast_python=$dlcast_bin/python_
dlcast_is_layer=yes
if [[ -n $dlcast_home && ! -e $dlcast_python && ! -L $dlcast_python && ! -e $dlcast_layer/share/venv ]]; then
  dlcast_is_layer=
  dlcast_python=$dlcast_home/python_
  [[ -e $dlcast_python ]] || dlcast_python=$dlcast_home/python
fi

# A script would be this one, sooner or later.
[[ -f $dlcast_python && -x $dlcast_python ]] ||
  dlcast_fail "$dlcast_python is no interpreter: run dlcast layers link; in an environment that is a copy, make it anew: python3 -m venv --symlinks"
read -r -n 2 dlcast_start 2>/dev/null <"$dlcast_python"
[[ $dlcast_start != '#!' ]] || dlcast_fail "$dlcast_python leads to a script and not to Python: run dlcast layers link"

[[ -z $dlcast_is_layer || $dlcast_layer != *[@SEPARATORS@]* ]] ||
  dlcast_fail "$dlcast_layer has a character that @VARIABLE@ cannot hold: rename the folder"
dlcast_stack=@STACK@
dlcast_folders=(
@FOLDERS@
)

# What the user has set comes first. What other wrappers have set is for their Pythons, and comes last: it must not take the place
# of what this one's layers have. Each entry is there once, so that the variable does not grow from start to start.
dlcast_path=
dlcast_others=
dlcast_rest=$@VARIABLE@
while [[ -n $dlcast_rest ]]; do
  dlcast_entry=${dlcast_rest%%[@SEPARATORS@]*}
  dlcast_rest=${dlcast_rest#"$dlcast_entry"}
  dlcast_rest=${dlcast_rest#?}
  [[ -n $dlcast_entry ]] || continue
  dlcast_plain=$dlcast_entry/
  while [[ $dlcast_plain == *//* || $dlcast_plain == */./* ]]; do
    dlcast_plain=${dlcast_plain//\/.\///}
    dlcast_plain=${dlcast_plain//\/\///}
  done
  dlcast_plain=${dlcast_plain%/}
  if [[ $dlcast_plain != */@DYNLIB@ ]]; then
    [[ :$dlcast_path == *:"$dlcast_entry":* ]] || dlcast_path+=$dlcast_entry:
    continue
  fi
  for dlcast_folder in "${dlcast_folders[@]}"; do
    [[ $dlcast_plain != "$dlcast_folder" ]] || continue 2
    # From bin, as venvstacks' wrapper names them.
    [[ $dlcast_plain != */../* || ! $dlcast_plain -ef $dlcast_folder ]] || continue 2
  done
  [[ :$dlcast_others == *:"$dlcast_plain":* ]] || dlcast_others+=$dlcast_plain:
done
for dlcast_folder in "${dlcast_folders[@]}"; do
  dlcast_path+=$dlcast_folder:
done
dlcast_path+=$dlcast_others
[[ -z $dlcast_is_layer ]] || export @VARIABLE@="${dlcast_path%:}"

# What the environment has set of these, bash has replaced: by options with `privileged` among them, which each shell below would take
# over. Where bash can tell that there were any, they are what they were.
if [[ -r /proc/self/environ ]] && ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404)) &&
  [[ ${SHELLOPTS@a}${BASHOPTS@a}${IFS@a}${PS4@a}${LINENO@a}${OPTIND@a}${OPTERR@a} == *x* ]]; then
  dlcast_given=()
  dlcast_trace=
  dlcast_rest=
  while IFS= read -r -d '' dlcast_entry; do
    case $dlcast_entry in
      IFS=* | PS4=* | LINENO=* | OPTIND=* | OPTERR=*) dlcast_given+=("$dlcast_entry") ;;
      SHELLOPTS=* | BASHOPTS=*) dlcast_rest+=${dlcast_entry#*=}: ;;
    esac
  done </proc/self/environ
  for dlcast_entry in "${dlcast_given[@]}"; do
    unset -v "${dlcast_entry%%=*}"
    export "${dlcast_entry?}"
  done
  set +p
  while [[ -n $dlcast_rest ]]; do
    dlcast_entry=${dlcast_rest%%:*}
    dlcast_rest=${dlcast_rest#*:}
    case $dlcast_entry in
      errexit | errtrace | functrace | noclobber | noglob | nolog | notify | nounset | physical | pipefail | privileged)
        set -o "$dlcast_entry"
        ;;
      xtrace) dlcast_trace=yes ;;
      # With these, this would not go on as it should.
      allexport | emacs | extdebug | history | ignoreeof | keyword | monitor | noexec | onecmd | posix | verbose | vi) ;;
      *) shopt -s "$dlcast_entry" 2>/dev/null || : ;;
    esac
  done
  if [[ -n $dlcast_trace && -e /proc/self/fd/2 ]]; then
    # Of this start there is no trace.
    exec {dlcast_trace}>&2
    {
      set -x
      exec -a "${dlcast_other:-$dlcast_self}" "$dlcast_python" "$@" 2>&"$dlcast_trace" {dlcast_trace}>&-
    } 2>/dev/null
  fi
fi

exec -a "${dlcast_other:-$dlcast_self}" "$dlcast_python" "$@"
