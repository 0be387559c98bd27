package simulation

// unmended are faults that the library once had: each takes one mend back.
var unmended = []plant{
	{
		name: "a write whose answer is lost is sent again",
		old:  "		case !w.lost:\n			continue\n",
		new:  "		case true:\n			continue\n",
	},
	{
		name: "content that is not UTF-8 is updated",
		old:  "	case !utf8.Valid(raw):\n",
		new:  "	case !utf8.Valid(raw) && len(raw) == 0:\n",
	},
	{
		name: "content that is almost JSON is taken for a text",
		old:  "	case p.text && bytes.HasPrefix(bytes.TrimSpace(raw), []byte(\"{\")):\n		return nil, errBrokenJSON\n",
		new:  "",
	},
	{
		name: "a refusal ends a registration that was in place",
		old:  "	return err, k.refused && !k.wasPlaced() && final\n",
		new:  "	return err, k.refused\n",
	},
	{
		name: "a passing error of the server's ends streams",
		old:  "	case a.Err != nil && zkconn.Final(a.Err):\n",
		new:  "	case a.Err != nil && (zkconn.Final(a.Err) || zkconn.ServerFailed(a.Err)):\n",
	},
	{
		name: "only the first address of a name is used",
		old:  "		for _, ip := range ips {\n",
		new:  "		for _, ip := range ips[:1] {\n",
	},
	{
		name: "the addresses of a name are forgotten when it cannot be resolved",
		old:  "	if s.err = err; err == nil {\n",
		new:  "	if s.err = err; true {\n",
	},
	{
		name: "pauses have no random part",
		old:  "	return d - time.Duration(rand.Int64N(int64(d)/2+1))\n",
		new:  "	return d - time.Duration(rand.Int64N(1))\n",
	},
	{
		name: "pauses do not grow",
		old:  "		d = min(2*d, p.Most)\n",
		new:  "		d = min(d, p.Most)\n",
	},
	{
		name: "each failure of an outage is logged",
		old:  "	return first, summary\n",
		new:  "	return true, summary\n",
	},
	{
		name: "an end of the session is told a timeout too late",
		old:  "	left := time.Until(k.conn.Answered().Add(now.Timeout))\n",
		new:  "	left := time.Until(k.conn.Answered().Add(2 * now.Timeout))\n",
	},
}
