package simulation

// unmended are faults that the library once had: each takes one mend back.
var unmended = []plant{
	{
		"a write whose answer is lost is sent again",
		"		case !w.lost:\n			continue\n",
		"		case true:\n			continue\n",
	},
	{
		"content that is not UTF-8 is updated",
		"	case !utf8.Valid(raw):\n",
		"	case !utf8.Valid(raw) && len(raw) == 0:\n",
	},
	{
		"content that is almost JSON is taken for a text",
		"	case p.text && bytes.HasPrefix(bytes.TrimSpace(raw), []byte(\"{\")):\n		return nil, errBrokenJSON\n",
		"",
	},
	{
		"a refusal ends a registration that was in place",
		"	return err, k.refused && !k.wasPlaced() && final\n",
		"	return err, k.refused\n",
	},
	{
		"a passing error of the server's ends streams",
		"	case a.Err != nil && zkconn.Final(a.Err):\n",
		"	case a.Err != nil && (zkconn.Final(a.Err) || zkconn.ServerFailed(a.Err)):\n",
	},
	{
		"only the first address of a name is used",
		"		for _, ip := range ips {\n",
		"		for _, ip := range ips[:1] {\n",
	},
	{
		"the addresses of a name are forgotten when it cannot be resolved",
		"	if s.err = err; err == nil {\n",
		"	if s.err = err; true {\n",
	},
	{
		"pauses have no random part",
		"	return d - time.Duration(rand.Int64N(int64(d)/2+1))\n",
		"	return d - time.Duration(rand.Int64N(1))\n",
	},
	{
		"pauses do not grow",
		"		d = min(2*d, p.Most)\n",
		"		d = min(d, p.Most)\n",
	},
	{
		"each failure of an outage is logged",
		"	return first, summary\n",
		"	return true, summary\n",
	},
	{
		"an end of the session is told a timeout too late",
		"	left := time.Until(k.conn.Answered().Add(now.Timeout))\n",
		"	left := time.Until(k.conn.Answered().Add(2 * now.Timeout))\n",
	},
}
