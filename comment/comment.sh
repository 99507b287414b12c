#!/usr/bin/env bash
# Show a file as a comment on a pull request of GitHub; the comment that this wrote before is written anew.
#
# FILE         the comparison in markdown
# NUMBER       of the pull request; or, for a workflow_run, which is not told that of a fork's pull request:
# HEAD_OWNER, HEAD_BRANCH, HEAD_COMMIT    where the pull request comes from, and the commit that was compared
# NAME         tells comments apart where there are several of them
# GH_TOKEN, GH_REPO                       as gh wants them: a token that may write on pull requests, owner/name
set -euo pipefail

LONGEST=65000 # bytes: GitHub refuses more than 65,536 characters
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT

fail() {
    echo "::error title=memperf::$1"
    exit 1
}

# Calls gh and shows nothing but what it answers; ends with one line of what to do where GitHub refuses.
ask() {
    if gh api "$@" > "$temporary/answer" 2> "$temporary/errors"; then
        cat "$temporary/answer"
        return
    fi
    local reason
    reason=$(grep --max-count=1 HTTP "$temporary/errors" || head -n 1 "$temporary/errors")
    case $reason in
        *"HTTP 401"*) fail "GitHub does not know the token ($reason)" >&2 ;;
        *"HTTP 403"*) fail "the token may not comment ($reason): give the job 'permissions: pull-requests: write'; \
where the pull request is a fork's, its own workflows may never write: comment in a workflow_run" >&2 ;;
        *) fail "GitHub does not answer as it should ($reason)" >&2 ;;
    esac
}

[ -f "$FILE" ] || fail "$FILE is missing: the comparison ended before it had a result"

if [ -z "${NUMBER:-}" ]; then
    # By what GitHub says of the run, not by anything that the pull request's own code has written.
    NUMBER=$(ask --method GET --paginate 'repos/{owner}/{repo}/pulls' -f state=open -f "head=$HEAD_OWNER:$HEAD_BRANCH" \
        --jq '.[] | select(.head.sha == env.HEAD_COMMIT) | .number')
    NUMBER=${NUMBER%%$'\n'*}
    if [ -z "$NUMBER" ]; then
        echo "memperf: no open pull request is at $HEAD_COMMIT any more: there is nothing to comment on"
        exit 0
    fi
fi

export MARK="<!-- pytest-memperf${NAME:+: $NAME} -->"
ME=$(ask graphql -f query='{viewer{login}}' --jq .data.viewer.login)
export ME
# The mark alone is no proof: anybody can write it.
mine=$(ask --method GET --paginate "repos/{owner}/{repo}/issues/$NUMBER/comments" -F per_page=100 \
    --jq '.[] | select(.user.login == env.ME and (.body | startswith(env.MARK))) | .id')
mine=${mine%%$'\n'*}

body=$temporary/body
{ echo "$MARK" && head --bytes="$LONGEST" "$FILE"; } > "$body"
if [ -n "$mine" ]; then
    ask --method PATCH "repos/{owner}/{repo}/issues/comments/$mine" -F "body=@$body" --jq .html_url
else
    ask --method POST "repos/{owner}/{repo}/issues/$NUMBER/comments" -F "body=@$body" --jq .html_url
fi
