# Makes scdoc's input from docs/man/*.scd, with tables and lists of README.md.
#
#     awk -v version=V -f scripts/dev/man.awk README.md PAGE.scd
#
#     %table CELL       the rows of the table whose head begins with CELL
#     %list HEADING     the list in the section of that heading
#     @VERSION@

FNR == 1 { file++ }
file == 1 { readme[++count] = $0; next }
/^%table / { put_table(substr($0, 8)); next }
/^%list / { put_list(substr($0, 7)); next }
{ gsub(/@VERSION@/, version); print }

function stop(what) {
    print "scripts/dev/man.awk: " FILENAME ":" FNR ": README.md has no " what > "/dev/stderr"
    exit 1
}

# Each row becomes a term and its description, because columns are too wide for a terminal.
function put_table(cell, i, row, divider) {
    for (i = 1; i < count; i++)
        if (index(readme[i], "| " cell " |") == 1 && readme[i + 1] ~ /^\|---/)
            break
    if (i >= count)
        stop("table that begins with \"" cell "\"")
    for (i += 2; readme[i] ~ /^\|/; i++) {
        row = substr(readme[i], 3)
        sub(/ *\|$/, "", row)
        divider = index(row, " | ")
        print markup(substr(row, 1, divider - 1))
        print "\t" markup(substr(row, divider + 3)) "\n"
    }
}

function put_list(heading, i, item) {
    for (i = 1; i <= count && readme[i] != "## " heading; i++)
        ;
    while (++i <= count && readme[i] !~ /^(\* |## )/)
        ;
    if (readme[i] !~ /^\* /)
        stop("list in a section \"" heading "\"")
    for (; readme[i] ~ /^(\* |  )/; i++) {
        if (readme[i] ~ /^\* / && item != "")
            print "- " markup(item)
        item = (readme[i] ~ /^\* / ? "" : item " ") substr(readme[i], 3)
    }
    print "- " markup(item) "\n"
}

# Code becomes bold, a link its text; characters that scdoc takes for markup are escaped.
function markup(text, parts, n, i, result) {
    gsub(/\]\([^)]*\)/, "]", text)
    gsub(/\*\*/, "", text)
    n = split(text, parts, "`")
    for (i = 1; i <= n; i++) {
        if (i % 2 == 1)
            gsub(/[][]/, "", parts[i])
        gsub(/[_*<>]/, "\\\\&", parts[i])
        result = result (i % 2 == 0 ? "*" parts[i] "*" : parts[i])
    }
    return result
}
