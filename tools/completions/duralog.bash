# SPDX-License-Identifier: MIT
#
# Completion of the duralog command for bash. Changes with the commands and options of tools/duralog/.

_duralog() {
    local current=$2 previous=$3
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W \
            'create append import cat follow status verify fence stop help --help --version' -- "$current")
        return
    fi
    case $previous in
    --type) mapfile -t COMPREPLY < <(compgen -W 'text json bytes' -- "$current") && return ;;
    --level) mapfile -t COMPREPLY < <(compgen -W 'durable committed' -- "$current") && return ;;
    --ring-bytes | --segment-bytes | --spare-bytes | --from | --to | --timeout | --open-for) return ;;
    esac
    if [[ $current == -* ]]; then
        local options
        case ${COMP_WORDS[1]} in
        create) options='--ring-bytes --segment-bytes --spare-bytes' ;;
        append) options='--type --level --timeout' ;;
        import) options='--level --timeout --append --from --json' ;;
        cat) options='--from --to --json --salvage' ;;
        follow) options='--from --json' ;;
        status | verify) options='--json' ;;
        fence) options='--open-for --dry-run --timeout --json' ;;
        stop) options='--timeout' ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$options --help" -- "$current")
    else
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}
complete -F _duralog duralog
