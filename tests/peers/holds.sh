# What the parts say: sentences, and whether they hold. Sourced by each `run`.

# `holds SENTENCE COMMAND…`: the command succeeds.
holds() {
  local sentence=$1 output
  shift
  if output=$("$@" 2>&1); then
    echo "$sentence" >>"$WORK/held"
    echo "  ok     $sentence"
  else
    broke "$sentence" "$output"
  fi
}

# `says SENTENCE TEXT COMMAND…`: what the command writes, or complains of, has the text.
says() {
  local sentence=$1 text=$2 output
  shift 2
  output=$("$@" 2>&1) || true
  if [[ $output == *"$text"* ]]; then
    echo "$sentence" >>"$WORK/held"
    echo "  ok     $sentence"
  else
    broke "$sentence" "wanted: $text"$'\n'"$output"
  fi
}

# `refuses SENTENCE TEXT COMMAND…`: the command fails, and says why.
refuses() {
  local sentence=$1 text=$2 output
  shift 2
  if output=$("$@" 2>&1); then
    broke "$sentence" "it was not refused"$'\n'"$output"
  elif [[ $output != *"$text"* ]]; then
    broke "$sentence" "wanted: $text"$'\n'"$output"
  else
    echo "$sentence" >>"$WORK/held"
    echo "  ok     $sentence"
  fi
}

# `eventually TEXT COMMAND…`: succeeds once the command writes just the text; for what gives no sign.
eventually() {
  local text=$1 output
  shift
  for _ in $(seq 150); do
    output=$("$@" 2>&1) || true
    [ "$output" = "$text" ] && return
    sleep 0.2
  done
  echo "wanted: $text"
  echo "last: $output"
  return 1
}

broke() {
  echo "$1" >>"$WORK/broke"
  echo "  BROKEN $1"
  sed 's/^/         /' <<<"$2"
}
