# bash completion for corpus. The program itself knows what can follow, names of guests included.

_corpus()
{
	local words=("${COMP_WORDS[@]:1:COMP_CWORD}") current=${COMP_WORDS[COMP_CWORD]} line

	# Readline splits "--option=value" and "tcp:80" at signs that are no ends of words to corpus.
	if declare -F _get_comp_words_by_ref >/dev/null; then
		local cword
		_get_comp_words_by_ref -n =: -c current -w words -i cword
		words=("${words[@]:1:cword}")
	fi
	COMPREPLY=()
	while IFS= read -r line; do
		if [ "$line" = __files__ ]; then
			compopt -o filenames 2>/dev/null
			mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$current")
		else
			COMPREPLY+=("$line")
			case $line in *[=.] | *:/) compopt -o nospace 2>/dev/null ;; esac
		fi
	done < <("${COMP_WORDS[0]}" __complete -- "${words[@]}" 2>/dev/null)
	if declare -F __ltrim_colon_completions >/dev/null; then
		__ltrim_colon_completions "$current"
	fi
}

complete -F _corpus corpus
